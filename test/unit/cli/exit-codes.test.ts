import { describe, expect, it } from 'vitest';
import { exitCodeOfError, exitCodeOfJob } from '../../../cmd/cli/exit-codes.ts';
import { JOB_ERROR_CODES } from '../../../src/jobs/errors.ts';
import { RPC_ERROR_CODES } from '../../../src/api/wire.ts';

describe('exit codes', () => {
  it.each([
    ['usage', 2],
    ['invalid_params', 2],
    ['invalid_config', 2],
    ['invalid_address', 2],
    ['not_found', 3],
    ['unauthenticated', 4],
    ['forbidden', 4],
    ['policy_denied', 4],
    ['timeout', 5],
    ['queue_full', 6],
    ['unreachable', 7],
    ['invalid_state', 1],
    ['draining', 1],
    ['constructor', 1],
    ['something new', 1],
  ])('of an error %s is %i', (code, exitCode) => {
    expect(exitCodeOfError(code)).toBe(exitCode);
  });

  it('is never 0 for a failure that the node can report', () => {
    for (const code of [...Object.keys(JOB_ERROR_CODES), ...Object.keys(RPC_ERROR_CODES)]) {
      expect(exitCodeOfError(code)).toBeGreaterThan(0);
    }
  });

  it.each([
    [{ status: 'complete', exit_code: 0 }, 0],
    [{ status: 'complete', exit_code: 143 }, 0],
    [{ status: 'failed', exit_code: 42 }, 42],
    [{ status: 'failed', exit_code: 0 }, 1],
    [{ status: 'failed', exit_code: 256 }, 1],
    [{ status: 'failed' }, 1],
    [{ status: 'cancelled' }, 1],
  ] as const)('of a job %j is %i', (job, exitCode) => {
    expect(exitCodeOfJob(job)).toBe(exitCode);
  });
});

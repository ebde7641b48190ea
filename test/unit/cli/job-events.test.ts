import { describe, expect, it } from 'vitest';
import { eventsOfJob } from '../../../cmd/cli/follow/job-events.ts';
import type { RpcClient } from '../../../src/api/client.ts';
import type { JobEventView } from '../../../src/api/wire.ts';

const JOB = '01a1fd1c-049a-7bfa-b908-9e1db94afd1d';

function event(id: string, type: JobEventView['type'], job_id = JOB): JobEventView {
  return { id, job_id, type, attempt: 1, at: '2026-01-01T00:00:00Z' };
}

/** A history, and what is told after it. */
function clientOf(history: readonly JobEventView[], told: readonly JobEventView[]): RpcClient {
  return {
    call: () => Promise.resolve({ job_id: JOB, events: history }),
    async *streamEvents() {
      await Promise.resolve();
      yield { kind: 'open' };
      for (const each of told) yield { kind: 'job', event: each };
    },
  } as unknown as RpcClient;
}

async function typesOf(client: RpcClient): Promise<string[]> {
  const types: string[] = [];
  const options = { signal: new AbortController().signal, onBroken: () => undefined };
  for await (const { type } of eventsOfJob(client, JOB, options)) types.push(type);
  return types;
}

describe('the events of one job', () => {
  it('come each once, and only those of that job', async () => {
    const history = [event('1-1', 'pending'), event('1-3', 'running')];
    const told = [event('1-3', 'running'), event('1-4', 'complete', 'other'), event('1-5', 'complete')];
    expect(await typesOf(clientOf(history, told))).toEqual(['pending', 'running', 'complete']);
  });

  it('end with its removal, also where nobody can say any more when that was', async () => {
    const removed = event('0-0', 'removed');
    expect(await typesOf(clientOf([event('7-9', 'running')], [removed]))).toEqual(['running', 'removed']);
  });
});

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requirePrograms } from '../support/programs.ts';
import { figure } from '../../support/figure.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { readAcks } from './support/acks.ts';
import { integrityOf, openStore } from './support/open-store.ts';
import { judge } from './support/promises-kept.ts';
import { WriterProgram } from './support/writer-program.ts';

const FSYNC_FAILURES = figure(20, 200);
const WRITE_FAILURES = figure(10, 200);
/** A commit is several writes; a prime, so that each of them is met. */
const WRITE_STEP = 13;
/** Runs side by side: each is mostly strace waiting for node. */
const AT_ONCE = 4;

let program: WriterProgram;
beforeAll(async () => {
  requirePrograms('strace');
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

/** Runs a writer whose disk fails at the n-th call and ever after; gives how much was acknowledged before. */
async function failFrom(calls: string, nth: number): Promise<number> {
  const what = `${calls} fails from call ${nth} on`;
  using directory = new TempDirectory();
  const ackFile = directory.file('acks');
  const wrapper = [
    'strace', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`,
    '-e', `inject=${calls}:error=EIO:when=${nth}+`,
  ]; // prettier-ignore
  await using writer = program.start({ directory: directory.path, ackFile, work: 'lives' }, { wrapper });
  const exit = await writer.exit;
  expect(exit, what).toMatchObject({ code: 1, signal: null });
  const log = readAcks(ackFile);
  expect(log.fatal, what).toBe('store_failed');
  expect(log.acksAfterFatal, what).toBe(0);
  if (!existsSync(directory.file('jobs.db'))) expect(log.acks, what).toEqual([]);
  using opened = openStore(directory.path);
  expect(judge(opened.store, log), what).toEqual({ lost: [], extra: [] });
  opened[Symbol.dispose]();
  expect(integrityOf(directory.path), what).toBe('ok');
  return log.acks.length;
}

/** Fails at every `step`-th place of the first `count`. */
async function failAtEach(calls: string, count: number, step: number): Promise<number> {
  let next = 1;
  let ackCount = 0;
  const lane = async (): Promise<void> => {
    for (let nth = next; nth <= count * step; nth = next) {
      next += step;
      ackCount += await failFrom(calls, nth);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return ackCount;
}

describe('a disk that fails', () => {
  it(`at the n-th fsync ends the process, and nothing acknowledged is lost; n up to ${FSYNC_FAILURES}`, async () => {
    const acks = await failAtEach('fsync,fdatasync', FSYNC_FAILURES, 1);
    console.log(`fsync fails: ${FSYNC_FAILURES} runs, ${acks} acknowledged before, 0 after, 0 lost`);
    expect(acks).toBeGreaterThan(0);
  });

  it(`at the n-th write ends the process, and nothing acknowledged is lost; ${WRITE_FAILURES} times`, async () => {
    const acks = await failAtEach('pwrite64', WRITE_FAILURES, WRITE_STEP);
    console.log(`write fails: ${WRITE_FAILURES} runs, ${acks} acknowledged before, 0 after, 0 lost`);
    expect(acks).toBeGreaterThan(0);
  });
});

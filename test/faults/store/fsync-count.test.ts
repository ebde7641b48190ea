import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requirePrograms } from '../support/programs.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { readAcks } from './support/acks.ts';
import type { WriterTask } from './support/store-writer.ts';
import { WriterProgram } from './support/writer-program.ts';

let program: WriterProgram;
beforeAll(async () => {
  requirePrograms('strace');
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

/** Fsyncs of a store's whole life: made, opened, worked with, closed. */
async function countFsyncs(task: Pick<WriterTask, 'work' | 'count' | 'isUnsafe'>): Promise<number> {
  using directory = new TempDirectory();
  const trace = directory.file('trace');
  const ackFile = directory.file('acks');
  const wrapper = ['strace', '-f', '--seccomp-bpf', '-qq', '-o', trace, '-e', 'trace=fsync,fdatasync'];
  await using writer = program.start({ directory: directory.path, ackFile, ...task }, { wrapper });
  expect(await writer.exit).toMatchObject({ code: 0, stderr: '' });
  expect(readAcks(ackFile).acks).toHaveLength(task.count ?? 0);
  return readFileSync(trace, 'utf8')
    .split('\n')
    .filter((line) => /f(data)?sync\(/.test(line)).length;
}

describe('the disk', () => {
  it('is waited for once by each commit', async () => {
    const one = await countFsyncs({ work: 'one-by-one', count: 1 });
    const twentyOne = await countFsyncs({ work: 'one-by-one', count: 21 });
    console.log(`20 commits: ${twentyOne - one} fsyncs`);
    expect(twentyOne - one).toBeGreaterThanOrEqual(20);
    expect(twentyOne - one).toBeLessThanOrEqual(22);
  });

  it('is waited for once by 64 submissions of one turn', async () => {
    const one = await countFsyncs({ work: 'burst', count: 1 });
    const many = await countFsyncs({ work: 'burst', count: 64 });
    console.log(`64 submissions in one turn: ${many - one} fsyncs more than 1`);
    expect(many).toBe(one);
  });

  it('would be seen not to be waited for', async () => {
    const one = await countFsyncs({ work: 'one-by-one', count: 1, isUnsafe: true });
    const twentyOne = await countFsyncs({ work: 'one-by-one', count: 21, isUnsafe: true });
    expect(twentyOne - one).toBe(0);
  });
});

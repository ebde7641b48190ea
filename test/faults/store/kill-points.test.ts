import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Failpoint } from '../../../src/kernel/failpoint.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { readAcks } from './support/acks.ts';
import { integrityOf, openStore } from './support/open-store.ts';
import { judge } from './support/promises-kept.ts';
import type { WriterTask } from './support/store-writer.ts';
import { WriterProgram } from './support/writer-program.ts';

const KILLS = figure(5, 20);

interface KillPoint {
  readonly name: Failpoint;
  readonly work: WriterTask['work'];
  /** The kill comes at a passage up to this one. */
  readonly maxPassage: number;
}

const KILL_POINTS: readonly KillPoint[] = [
  { name: 'before-insert', work: 'lives', maxPassage: 60 },
  { name: 'before-commit', work: 'lives', maxPassage: 60 },
  { name: 'after-commit-before-ack', work: 'lives', maxPassage: 60 },
  { name: 'mid-checkpoint', work: 'checkpoints', maxPassage: 1 },
];

let program: WriterProgram;
beforeAll(async () => {
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

describe.each(KILL_POINTS)('a kill at $name', ({ name, work, maxPassage }) => {
  it(`loses nothing that was acknowledged, ${KILLS} times`, async () => {
    const random = seededRandom(`kills at ${name}`);
    using directory = new TempDirectory();
    const ackFile = directory.file('acks');
    for (let kill = 0; kill < KILLS; kill += 1) {
      const failAt = `${name}:${random.int(1, maxPassage)}`;
      await using writer = program.start(
        { directory: directory.path, ackFile, work },
        { env: { CONTAINER_MANAGER_FAIL_AT: failAt } },
      );
      expect(await writer.exit, failAt).toMatchObject({ signal: 'SIGKILL' });
      using opened = openStore(directory.path);
      expect(judge(opened.store, readAcks(ackFile)), failAt).toEqual({ lost: [], extra: [] });
    }
    expect(integrityOf(directory.path)).toBe('ok');
    console.log(`${name}: ${KILLS} kills, ${readAcks(ackFile).acks.length} acknowledged, 0 lost`);
  });
});

describe('a kill at mid-migration', () => {
  it('leaves a store that the next start makes whole', async () => {
    using directory = new TempDirectory();
    const task: WriterTask = {
      directory: directory.path,
      ackFile: directory.file('acks'),
      work: 'one-by-one',
      count: 1,
    };
    for (let kill = 0; kill < KILLS; kill += 1) {
      await using killed = program.start(task, { env: { CONTAINER_MANAGER_FAIL_AT: 'mid-migration' } });
      expect(await killed.exit).toMatchObject({ signal: 'SIGKILL' });
    }
    await using writer = program.start(task);
    expect(await writer.exit).toMatchObject({ code: 0, stderr: '' });
    using opened = openStore(directory.path);
    expect(opened.store.jobs({ limit: 10 })).toHaveLength(1);
    expect(judge(opened.store, readAcks(task.ackFile))).toEqual({ lost: [], extra: [] });
  });
});

describe('a kill at any time', () => {
  it(`loses nothing that was acknowledged, ${KILLS} times`, async () => {
    const random = seededRandom('kills at any time');
    using directory = new TempDirectory();
    const ackFile = directory.file('acks');
    for (let kill = 0; kill < KILLS; kill += 1) {
      await using writer = program.start({ directory: directory.path, ackFile, work: 'lives' });
      await writer.hasWritten(random.int(1, 50_000));
      expect(await writer.kill()).toMatchObject({ signal: 'SIGKILL' });
      using opened = openStore(directory.path);
      expect(judge(opened.store, readAcks(ackFile))).toEqual({ lost: [], extra: [] });
    }
    expect(integrityOf(directory.path)).toBe('ok');
  });
});

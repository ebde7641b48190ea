import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CuttableFileSystem, type CuttableKind } from '../support/power-cut.ts';
import { figure } from '../../support/figure.ts';
import { seededRandom } from '../support/seed.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { readAcks, type AckLog } from './support/acks.ts';
import { integrityOf, openStore } from './support/open-store.ts';
import { judge, type Verdict } from './support/promises-kept.ts';
import { WriterProgram } from './support/writer-program.ts';

const CUTS = figure(5, 200);
const CONTROL_CUTS = figure(1, 10);
/** One cut may by chance fall just after a flush; that so many do is no chance. */
const MAX_CONTROL_CUTS = CONTROL_CUTS + 15;
/** What both file systems must have acknowledged together in a full run. */
const FULL_ACKS = 100_000;
/** Cuts after which a store is put away: one that grows for ever would only make the run longer. */
const CUTS_PER_STORE = 5;
/** A writer that has been started goes on for at most this long before the cut, ms. */
const MAX_WORK_MS = 300;
/** Bytes of acknowledgements, some hundred of them: by then there is something to lose, however slow the disk. */
const WORKING_BYTES = 5_000;

let program: WriterProgram;
beforeAll(async () => {
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

/**
 * Lets a writer work until the power is cut: from its start on, or from when it is at work (`isWorking`). The writer must
 * notice, and end.
 */
async function writeUntilCut(
  disk: CuttableFileSystem,
  options: { directory: string; ackFile: string; isUnsafe: boolean; isWorking: boolean; workMs: number },
): Promise<void> {
  const { directory, ackFile, isUnsafe, isWorking, workMs } = options;
  await using writer = program.start({ directory, ackFile, isUnsafe, work: 'lives' });
  await writer.hasWritten(isWorking ? WORKING_BYTES : 1);
  await delay(workMs);
  disk.cutPower();
  expect((await writer.exit).code).toBe(1);
  await disk.restorePower();
}

function judgeStore(directory: string, acks: AckLog): Verdict {
  using opened = openStore(directory);
  return judge(opened.store, acks);
}

describe.each<CuttableKind>(['xfs', 'ext4'])('a power cut on %s', (kind) => {
  it(`loses nothing that was acknowledged, ${CUTS} times`, { timeout: 30_000 + CUTS * 10_000 }, async () => {
    const random = seededRandom(`power cuts on ${kind}`);
    let ackCount = 0;
    for (let cut = 0; cut < CUTS; cut += CUTS_PER_STORE) {
      using disk = new CuttableFileSystem(kind);
      using outside = new TempDirectory();
      const directory = disk.mountPoint;
      const ackFile = outside.file('acks');
      for (let place = 0; place < Math.min(CUTS_PER_STORE, CUTS - cut); place += 1) {
        const workMs = random.int(0, MAX_WORK_MS);
        // Some while the store is being opened, and some while it is certainly written to.
        const isWorking = place % 2 === 1;
        await writeUntilCut(disk, { directory, ackFile, isUnsafe: false, isWorking, workMs });
        const acks = readAcks(ackFile);
        expect(judgeStore(directory, acks), `cut ${cut + place}`).toEqual({ lost: [], extra: [] });
        expect(integrityOf(directory)).toBe('ok');
        expect(acks.acksAfterFatal).toBe(0);
      }
      ackCount += readAcks(ackFile).acks.length;
    }
    console.log(`${kind}: ${CUTS} cuts, ${ackCount} acknowledged, 0 lost`);
    expect(ackCount).toBeGreaterThan(figure(CUTS, FULL_ACKS / 2));
  });

  it('would be seen to lose, if commits did not wait for the disk', { timeout: 300_000 }, async () => {
    let lost = 0;
    for (let cut = 0; cut < CONTROL_CUTS || (lost === 0 && cut < MAX_CONTROL_CUTS); cut += 1) {
      using disk = new CuttableFileSystem(kind);
      using outside = new TempDirectory();
      const ackFile = outside.file('acks');
      await writeUntilCut(disk, {
        directory: disk.mountPoint,
        ackFile,
        isUnsafe: true,
        isWorking: true,
        workMs: MAX_WORK_MS,
      });
      lost += lostBelow(disk.mountPoint, readAcks(ackFile));
    }
    console.log(`${kind}, control: ${lost} acknowledged changes lost`);
    expect(lost).toBeGreaterThan(0);
  });
});

/** Counted below the store, which may well refuse what is left. */
function lostBelow(directory: string, { acks }: AckLog): number {
  using database = new DatabaseSync(join(directory, 'jobs.db'));
  const hasTables = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'log'").get() !== undefined;
  const last = hasTables ? Number(database.prepare('SELECT seq FROM log').get()?.['seq'] ?? 0) : 0;
  return acks.filter((ack) => ack.seq > last).length;
}

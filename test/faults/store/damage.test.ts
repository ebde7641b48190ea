import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StoreError } from '../../../src/jobs/job-store.ts';
import { figure, seededRandom, type SeededRandom } from '../support/seed.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { contentOf, openStore, type StoreContent } from './support/open-store.ts';
import { WriterProgram } from './support/writer-program.ts';

const FLIPS_A_FILE = figure(10, 200);
/** Acknowledgements before the writer is killed: enough for several pages of everything, in file and log. */
const ACK_BYTES = 30_000;

let program: WriterProgram;
beforeAll(async () => {
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

/** A store as a kill -9 leaves it: much of it in the file, the rest in the write-ahead log. */
async function killedStore(directory: string, ackFile: string): Promise<void> {
  for (let life = 0; life < 2; life += 1) {
    await using writer = program.start({ directory, ackFile, work: 'lives' });
    await writer.hasWritten(ACK_BYTES);
    await writer.kill();
    // The first life is put into the file by a clean end.
    if (life === 0) openStore(directory)[Symbol.dispose]();
  }
}

interface Flip {
  readonly file: string;
  readonly offset: number;
  readonly mask: number;
}

function flip({ file, offset, mask }: Flip, directory: string): void {
  const path = `${directory}/${file}`;
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ mask;
  writeFileSync(path, bytes);
}

function randomFlip(file: string, size: number, random: SeededRandom): Flip {
  // Half of them near the front, where the headers and the definitions of the tables are.
  const offset = random.int(0, random.next() < 0.5 ? Math.min(size, 8192) - 1 : size - 1);
  return { file, offset, mask: random.pick([1, 2, 4, 8, 16, 32, 64, 128, 255]) };
}

/** What a start makes of the damage: its refusal, or what it then holds. */
function start(directory: string): StoreError | StoreContent {
  try {
    using opened = openStore(directory);
    return contentOf(opened.store);
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}

/** A refusal helps only if it says which file, and what can be done. */
function isHelpful(error: StoreError, directory: string): boolean {
  return error.message.includes(`${directory}/jobs.`) && /restore|remove|move|upgrade/.test(error.message);
}

describe('a byte that changed', () => {
  it.each([
    { file: 'jobs.db', end: 'clean' },
    { file: 'jobs.db', end: 'kill' },
    { file: 'jobs.db-wal', end: 'kill' },
    { file: 'jobs.watermark', end: 'kill' },
  ])(
    `in $file after a $end end is noticed or harmless, ${FLIPS_A_FILE} times`,
    { timeout: 30_000 + FLIPS_A_FILE * 500 },
    async ({ file, end }) => {
      const random = seededRandom(`flips in ${file} after a ${end} end`);
      using base = new TempDirectory();
      using work = new TempDirectory();
      const original = base.file('original');
      const copy = work.file('copy');
      cpSync(base.path, copy, { recursive: true });
      await killedStore(copy, base.file('acks'));
      // Without a log on top of it every page of the file counts.
      if (end === 'clean') openStore(copy)[Symbol.dispose]();
      cpSync(copy, original, { recursive: true });
      const size = readFileSync(`${original}/${file}`).length;
      const expected = start(copy) as StoreContent;
      expect(expected.jobs.length).toBeGreaterThan(20);
      expect(expected.tombstones.length).toBeGreaterThan(5);

      let refused = 0;
      for (let count = 0; count < FLIPS_A_FILE; count += 1) {
        rmSync(copy, { recursive: true });
        cpSync(original, copy, { recursive: true });
        const damage = randomFlip(file, size, random);
        flip(damage, copy);
        const outcome = start(copy);
        if (outcome instanceof StoreError) {
          expect(isHelpful(outcome, copy), outcome.message).toBe(true);
          refused += 1;
        } else {
          expect(isDeepStrictEqual(outcome, expected), `silently wrong: ${JSON.stringify(damage)}`).toBe(
            true,
          );
        }
      }
      console.log(`${file}: ${FLIPS_A_FILE} flips, ${refused} refused, the others harmless`);
      // A damaged watermark is none, and pages that the log holds too are not read; otherwise most bytes matter.
      if (end === 'clean' || file === 'jobs.db-wal') expect(refused).toBeGreaterThan(FLIPS_A_FILE / 4);
    },
  );
});

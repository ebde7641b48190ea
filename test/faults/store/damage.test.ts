import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StoreError } from '../../../src/jobs/job-store.ts';
import { figure, IS_FULL } from '../../support/figure.ts';
import { seededRandom, type SeededRandom } from '../support/seed.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { contentOf, openStore, type StoreContent } from './support/open-store.ts';
import { WriterProgram } from './support/writer-program.ts';

const FLIPS_A_FILE = figure(10, 200);
/** Commits before the writer is killed: enough for several pages of everything, in file and log. */
const COMMITS = 60;

let program: WriterProgram;
beforeAll(async () => {
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

/**
 * A store as a kill -9 leaves it: much of it in the file, the rest in the write-ahead log. Killed before a commit, so
 * that everything in the log was acknowledged, and none of it may get lost.
 */
async function killedStore(directory: string, ackFile: string): Promise<void> {
  for (let life = 0; life < 2; life += 1) {
    await using writer = program.start(
      { directory, ackFile, work: 'lives' },
      { env: { CONTAINER_MANAGER_FAIL_AT: `before-commit:${COMMITS}` } },
    );
    expect(await writer.exit).toMatchObject({ signal: 'SIGKILL' });
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

/** Bits of a row of the file, which its checksum must miss. */
function flipOfRow(directory: string): Flip {
  const file = 'jobs.db';
  const url = new URL('?immutable=1', pathToFileURL(`${directory}/${file}`));
  using database = new DatabaseSync(url, { readOnly: true });
  const { start } = database
    .prepare("SELECT pgoffset AS start FROM dbstat WHERE name = 'jobs' AND pagetype = 'leaf' LIMIT 1")
    .get() as { start: number };
  // The head of a leaf is 8 bytes, and then comes where each row begins. The id is at the front of a row.
  const row = start + readFileSync(`${directory}/${file}`).readUInt16BE(start + 8);
  return { file, offset: row + 40, mask: 255 };
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
    { timeout: 120_000 + FLIPS_A_FILE * 2_000 },
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

      /** Whether the start refuses it; otherwise it must have done no harm. */
      const isRefused = (damage: Flip): boolean => {
        rmSync(copy, { recursive: true });
        cpSync(original, copy, { recursive: true });
        flip(damage, copy);
        const outcome = start(copy);
        if (outcome instanceof StoreError) {
          expect(isHelpful(outcome, copy), outcome.message).toBe(true);
          return true;
        }
        expect(isDeepStrictEqual(outcome, expected), `silently wrong: ${JSON.stringify(damage)}`).toBe(true);
        return false;
      };

      let refused = 0;
      for (let count = 0; count < FLIPS_A_FILE; count += 1) {
        if (isRefused(randomFlip(file, size, random))) refused += 1;
      }
      console.log(`${file}: ${FLIPS_A_FILE} flips, ${refused} refused, the others harmless`);
      // A damaged watermark is none, and pages that the log holds too are not read.
      if (file === 'jobs.db-wal') expect(refused).toBe(FLIPS_A_FILE);
      if (file !== 'jobs.db' || end !== 'clean') return;
      expect(isRefused(flipOfRow(original))).toBe(true);
      // Some bytes are nobody's, and few flips may all meet such ones; of many, not nearly so.
      if (IS_FULL) expect(refused).toBeGreaterThan(FLIPS_A_FILE / 4);
    },
  );
});

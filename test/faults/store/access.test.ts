import { chmodSync, chownSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireRoot } from '../support/programs.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { openStore } from './support/open-store.ts';
import type { WriterTask } from './support/store-writer.ts';
import { WriterProgram } from './support/writer-program.ts';

/** `nobody` on every Linux: a user with no rights of its own. */
const NOBODY = 65_534;
/**
 * The lock goes with its process; what remains is opening the store, however slow the disk, ms. Less than a lock would
 * take that has to run out.
 */
const MAX_TAKEOVER_MS = 10_000;

let program: WriterProgram;
beforeAll(async () => {
  requireRoot();
  program = await WriterProgram.build();
});
afterAll(() => program[Symbol.dispose]());

describe('a second process', () => {
  it('is refused with the pid of the first, and gets the store as soon as that is killed', async () => {
    using directory = new TempDirectory();
    const task: WriterTask = { directory: directory.path, ackFile: directory.file('acks'), work: 'lives' };
    await using holder = program.start(task);
    await holder.hasWritten(1_000);
    expect(() => openStore(directory.path)).toThrow(
      expect.objectContaining({
        code: 'store_locked',
        message: expect.stringContaining(`in use by another node (pid ${holder.pid}); stop it`),
        details: { file: directory.file('jobs.db'), pid: `${holder.pid}` },
      }),
    );
    await using second = program.start({ ...task, ackFile: directory.file('second') });
    expect(await second.exit).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`pid ${holder.pid}`),
    });
    await holder.kill();
    const startedMs = performance.now();
    using opened = openStore(directory.path);
    expect(performance.now() - startedMs).toBeLessThan(MAX_TAKEOVER_MS);
    expect(opened.store.lastSeq).toBeGreaterThan(0);
  });
});

describe('a user without the right', () => {
  it.each([
    { what: 'to read the file', fileMode: 0o600, directoryMode: 0o777 },
    { what: 'to write the file', fileMode: 0o644, directoryMode: 0o777 },
    { what: 'to write the folder', fileMode: 0o666, directoryMode: 0o755 },
  ])('$what is refused, with file and remedy, and changes nothing', async ({ fileMode, directoryMode }) => {
    using base = new TempDirectory();
    using outside = new TempDirectory();
    chownSync(outside.path, NOBODY, NOBODY);
    openStore(base.path)[Symbol.dispose]();
    for (const name of readdirSync(base.path)) chmodSync(base.file(name), fileMode);
    chmodSync(base.path, directoryMode);
    const before = readFileSync(base.file('jobs.db'));
    const task: WriterTask = {
      directory: base.path,
      ackFile: outside.file('acks'),
      work: 'one-by-one',
      count: 1,
    };
    await using writer = program.start(task, { uid: NOBODY });
    const { code, stderr } = await writer.exit;
    expect(stderr).toContain(base.file('jobs.db'));
    expect(stderr).toContain('it must be a file that this user may read and write');
    expect(code).toBe(1);
    expect(readFileSync(base.file('jobs.db')).equals(before)).toBe(true);
  });
});

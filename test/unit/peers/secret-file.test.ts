import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadIdentity } from '../../../src/peers/identity.ts';
import {
  keptSecrets,
  readOrCreateSecretFile,
  readSecretFile,
  replaceSecretFile,
} from '../../../src/peers/secret-file.ts';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('../../../src/peers/', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
});
const file = (name: string): string => join(directory, name);

describe('a secret file', () => {
  it('is made once, private, and read from then on', () => {
    expect(readOrCreateSecretFile(file('a'), () => 'first')).toBe('first');
    expect(readOrCreateSecretFile(file('a'), () => 'second')).toBe('first');
    expect(statSync(file('a')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['a']);
  });

  it.each([0o640, 0o604, 0o620])('that others can read or write (%o) is refused, with the remedy', (mode) => {
    writeFileSync(file('a'), 'secret');
    chmodSync(file('a'), mode);
    expect(() => readOrCreateSecretFile(file('a'), () => '')).toThrow(`run: chmod 600 ${file('a')}`);
  });

  it('that is a link to somewhere else is refused', () => {
    writeFileSync(file('target'), 'secret', { mode: 0o600 });
    symlinkSync(file('target'), file('a'));
    expect(() => readOrCreateSecretFile(file('a'), () => '')).toThrow(/ELOOP/);
  });

  it('is not there when its content could not be made', () => {
    const fail = (): string => {
      throw new Error('no randomness');
    };
    expect(() => readOrCreateSecretFile(file('a'), fail)).toThrow('no randomness');
    expect(existsSync(file('a'))).toBe(false);
    expect(readOrCreateSecretFile(file('a'), () => 'later')).toBe('later');
  });

  it('is the same for all who start at once', async () => {
    const program = `import { loadIdentity } from ${JSON.stringify(`${SOURCE}identity.ts`)};
      process.stdout.write(loadIdentity(${JSON.stringify(file('identity.key'))}).nodeId);`;
    const starts = Array.from({ length: 6 }, () =>
      run(process.execPath, ['--input-type=module', '--eval', program]),
    );
    const ids = (await Promise.all(starts)).map(({ stdout }) => stdout);
    expect(new Set(ids)).toEqual(new Set([loadIdentity(file('identity.key')).nodeId]));
    expect(readdirSync(directory)).toEqual(['identity.key']);
  });
});

describe('a secret file that gets another content', () => {
  it('keeps each one that it had, under a number of its own, and private', () => {
    writeFileSync(file('a'), 'first', { mode: 0o600 });
    writeFileSync(file('a.2'), 'elsewhere', { mode: 0o600 });
    expect(replaceSecretFile(file('a'), 'second')).toBe(file('a.1'));
    expect(replaceSecretFile(file('a'), 'third')).toBe(file('a.3'));
    expect(readSecretFile(file('a'))).toBe('third');
    expect(keptSecrets(file('a'))).toEqual([
      { file: file('a.1'), content: 'first' },
      { file: file('a.2'), content: 'elsewhere' },
      { file: file('a.3'), content: 'second' },
    ]);
    for (const name of readdirSync(directory)) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  });

  it("stays its owner's, whoever does it", () => {
    writeFileSync(file('a'), 'first', { mode: 0o600 });
    // Only root can give a file to somebody else; for others it is theirs in any case.
    if (process.getuid?.() === 0) chownSync(file('a'), 12_345, 23_456);
    const { uid, gid } = statSync(file('a'));
    replaceSecretFile(file('a'), 'second');
    expect(statSync(file('a'))).toMatchObject({ uid, gid, mode: 0o100600 });
    expect(statSync(file('a.1'))).toMatchObject({ uid, gid });
  });

  it('is left as it is when there are too many old ones already', () => {
    writeFileSync(file('a'), 'current', { mode: 0o600 });
    for (let number = 1; number <= 100; number += 1)
      writeFileSync(file(`a.${number}`), `old ${number}`, { mode: 0o600 });
    expect(() => replaceSecretFile(file('a'), 'new')).toThrow('has 100 old ones kept beside it');
    expect(readSecretFile(file('a'))).toBe('current');
    expect(readdirSync(directory)).toHaveLength(101);
  });
});

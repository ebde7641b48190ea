import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadSetup } from './load-setup.ts';

interface LockModule {
  ownerName(pid: number): string;
  isOwnerAlive(name: string): boolean;
  withLock<T>(
    folder: string,
    work: () => Promise<T>,
    options?: { timeoutMs?: number; onWait?: (pid: string) => void },
  ): Promise<T>;
}

const { isOwnerAlive, ownerName, withLock } = await loadSetup<LockModule>('lock.mjs');

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

it('runs the work, returns its result, and leaves nothing behind', async () => {
  await expect(withLock(lock, async () => readdirSync(lock))).resolves.toEqual([ownerName(process.pid)]);
  expect(readdirSync(folder)).toEqual([]);
});

it('is released when the work fails', async () => {
  await expect(withLock(lock, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(existsSync(lock)).toBe(false);
});

it('lets one in at a time', async () => {
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all(Array.from({ length: 5 }, () => withLock(lock, work)));
  expect(most).toBe(1);
});

it('tells once whom it waits for, and gives up in time', async () => {
  const told: string[] = [];
  mkdirSync(lock);
  writeFileSync(join(lock, ownerName(process.ppid)), '');
  const waiting = withLock(lock, () => Promise.resolve('inside'), {
    timeoutMs: 500,
    onWait: (pid) => told.push(pid),
  });
  await expect(waiting).rejects.toThrow(
    `Another set-up (process ${process.ppid}) has not ended within 0.5 s`,
  );
  expect(told).toEqual([String(process.ppid)]);
  expect(readdirSync(folder)).toEqual(['lock']);
});

it('takes over from a process that has gone', async () => {
  const { pid } = spawnSync(process.execPath, ['--version']);
  mkdirSync(lock);
  writeFileSync(join(lock, `${pid}.123456`), '');
  await expect(withLock(lock, () => Promise.resolve('inside'), { timeoutMs: 10_000 })).resolves.toBe(
    'inside',
  );
});

it('takes over from a process whose number another one has now', async () => {
  const reused = `${process.pid}.1`;
  expect(isOwnerAlive(ownerName(process.pid))).toBe(true);
  expect(isOwnerAlive(reused)).toBe(false);
  mkdirSync(lock);
  writeFileSync(join(lock, reused), '');
  await expect(withLock(lock, () => Promise.resolve('inside'), { timeoutMs: 10_000 })).resolves.toBe(
    'inside',
  );
});

it('takes an empty folder, which a release that was cut off leaves', async () => {
  mkdirSync(lock);
  await expect(withLock(lock, () => Promise.resolve('inside'), { timeoutMs: 10_000 })).resolves.toBe(
    'inside',
  );
});

it('says what stands in the way when the lock is no folder', async () => {
  writeFileSync(lock, '');
  await expect(withLock(lock, () => Promise.resolve('inside'))).rejects.toThrow(`rm -rf ${lock}`);
});

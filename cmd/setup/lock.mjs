import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SetupError } from './progress.mjs';

const POLL_MS = 200;
/** Longer than any set-up takes: a fresh machine on a slow line needs some five minutes. */
export const LOCK_TIMEOUT_MS = 15 * 60_000;

/**
 * When a process started, in clock ticks since boot; a number that is used again has another start. Empty where the
 * system does not tell.
 */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the program's name, may hold spaces; what follows its closing bracket does not.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** The name of the file by which a process says that the lock is its own. */
export function ownerName(pid) {
  return `${pid}.${startOf(pid)}`;
}

/** Whether the process behind an owner's name still runs. */
export function isOwnerAlive(name) {
  const [pid, start] = name.split('.');
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if (error.code === 'ESRCH') return false;
  }
  return start === '' || start === startOf(pid);
}

/**
 * Takes the lock, or names who has it. A folder with the owner's file in it is moved to the lock's name: that fails as
 * long as the folder there is not empty, so the lock and its owner's name appear in one step. An owner that has gone is
 * removed by its very name, which cannot hit the one that came after it.
 */
function tryTake(lockFolder) {
  const mine = ownerName(process.pid);
  const candidate = mkdtempSync(`${lockFolder}.`);
  writeFileSync(join(candidate, mine), '');
  try {
    renameSync(candidate, lockFolder);
    return undefined;
  } catch (error) {
    rmSync(candidate, { recursive: true });
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') {
      throw new SetupError(
        `The set-up's lock ${lockFolder} cannot be taken (${error.code}). Run: rm -rf ${lockFolder}`,
      );
    }
  }
  const owners = existingOwners(lockFolder);
  for (const gone of owners.filter((name) => !isOwnerAlive(name))) {
    rmSync(join(lockFolder, gone), { force: true });
  }
  return owners.find(isOwnerAlive) ?? '';
}

function existingOwners(lockFolder) {
  try {
    return readdirSync(lockFolder);
  } catch {
    return [];
  }
}

function release(lockFolder) {
  try {
    unlinkSync(join(lockFolder, ownerName(process.pid)));
    rmdirSync(lockFolder);
  } catch {
    // Somebody else has taken it in between the two, which is what releasing is for.
  }
}

/**
 * Runs `work` while no other set-up of this user runs. Waits for one that does, at most `timeoutMs`; a set-up that was
 * killed does not stand in the way.
 *
 * @template T
 * @param {string} lockFolder its parent exists
 * @param {() => Promise<T>} work
 * @param {{ timeoutMs?: number, onWait?: (pid: string) => void }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(lockFolder, work, { timeoutMs = LOCK_TIMEOUT_MS, onWait = () => {} } = {}) {
  const deadlineMs = performance.now() + timeoutMs;
  let toldAbout = '';
  for (let owner = tryTake(lockFolder); owner !== undefined; owner = tryTake(lockFolder)) {
    const [pid] = owner.split('.');
    if (performance.now() > deadlineMs) {
      throw new SetupError(
        `Another set-up (process ${pid}) has not ended within ${timeoutMs / 1000} s. Run: kill ${pid}`,
      );
    }
    if (owner !== '' && owner !== toldAbout) onWait(pid);
    toldAbout = owner;
    await delay(POLL_MS);
  }
  try {
    return await work();
  } finally {
    release(lockFolder);
  }
}

import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_TAIL_LINES, lastLines, run, systemEnvironment } from './command.mjs';
import { ping } from './engine.mjs';
import { SetupError } from './progress.mjs';

/** How long an engine may take until it answers. */
export const START_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const ENGINE_LOG = '/var/log/container-manager-dockerd.log';

/** Whether systemd runs this machine; its tools may be installed where it does not. */
export function hasSystemd() {
  return existsSync('/run/systemd/system') && readFileSync('/proc/1/comm', 'utf8').trim() === 'systemd';
}

/**
 * Resolves once the engine at `address` answers; `isOver` ends the wait early. Returns whether it answers.
 *
 * @param {string} address
 * @param {{ timeoutMs: number, isOver?: () => boolean }} options
 */
export async function waitForEngine(address, { timeoutMs, isOver = () => false }) {
  const deadlineMs = performance.now() + timeoutMs;
  while ((await ping(address)) !== 'answers') {
    if (isOver() || performance.now() > deadlineMs) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** Waits for an engine that listens but does not answer, as one does while it starts. */
export async function waitForSilentEngine(address, timeoutMs = START_TIMEOUT_MS) {
  if (await waitForEngine(address, { timeoutMs })) return;
  throw new SetupError(
    `Something listens at ${address}, but it has not answered as a Docker Engine within ${timeoutMs / 1000} s. ` +
      'Look at its log, then restart it. Run: sudo service docker restart',
  );
}

/**
 * Starts `dockerd` as a process of its own that outlives this one and whatever started it, and resolves with its pid
 * when the engine answers. When it does not, the process is ended, and the error shows the last lines it logged.
 *
 * @param {{ command: readonly string[], address: string, logFile: string, timeoutMs?: number }} options
 * @returns {Promise<number | undefined>}
 */
export async function startDetached({ command, address, logFile, timeoutMs = START_TIMEOUT_MS }) {
  const [program, ...args] = command;
  const log = openSync(logFile, 'a', 0o640);
  const lengthBefore = fstatSync(log).size;
  const child = spawn(program, args, {
    cwd: '/',
    env: systemEnvironment(process.env),
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended;
  child.on('exit', (code, signal) => {
    ended = `ended with ${signal ?? `exit code ${code}`}`;
  });
  child.on('error', (error) => {
    ended = `could not be started (${error.code})`;
  });
  if (await waitForEngine(address, { timeoutMs, isOver: () => ended !== undefined })) {
    child.unref();
    return child.pid;
  }
  child.kill();
  child.unref();
  const reason = ended ?? `has not answered within ${timeoutMs / 1000} s`;
  throw new SetupError(
    `Starting the Docker Engine failed: \`${command.join(' ')}\` ${reason}.\n` +
      `The last ${MAX_TAIL_LINES} lines of ${logFile}:\n${lastLines(readFileSync(logFile).subarray(lengthBefore).toString())}`,
  );
}

/** Starts the engine the way this machine starts its services. */
export async function startEngine(address) {
  if (!hasSystemd()) {
    await startDetached({ command: ['dockerd'], address, logFile: ENGINE_LOG });
    return;
  }
  const stepName = 'Starting the Docker Engine';
  await run(stepName, ['systemctl', 'daemon-reload'], { timeoutMs: START_TIMEOUT_MS });
  await run(stepName, ['systemctl', 'start', 'docker'], { timeoutMs: START_TIMEOUT_MS });
  if (!(await waitForEngine(address, { timeoutMs: START_TIMEOUT_MS }))) {
    throw new SetupError(
      `${stepName} failed: it has not answered at ${address} within ${START_TIMEOUT_MS / 1000} s. Run: journalctl -u docker -n 50`,
    );
  }
}

import { runDaemon } from '../../cmd/daemon.ts';
import { DockerDriver } from '../../src/runtime/docker/docker-driver.ts';
import type { RuntimeDriver } from '../../src/runtime/driver.ts';
import { EngineClient } from './engine-client.ts';

/**
 * The daemon as it is, with an engine that a test serves (`CM_TEST_ENGINE`: its socket) in place of Docker's, and with
 * failures that nobody catches where `CM_TEST_FAULT` says so: `throw|reject|tick CALL PASSAGE`.
 */
const socketPath = process.env['CM_TEST_ENGINE'];
if (socketPath !== undefined) Object.assign(DockerDriver.prototype, new EngineClient(socketPath).methods());
const fault = process.env['CM_TEST_FAULT'];
if (fault !== undefined) plantFault(fault);

await runDaemon({ flags: {} });

/** Breaks off in a callback of its own beside the n-th call of that name, which itself goes on. */
function plantFault(text: string): void {
  const [kind, name = '', passage = '1'] = text.split(' ');
  const calls = DockerDriver.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  const original = calls[name];
  if (original === undefined) throw new Error(`no call ${name}`);
  let left = Number(passage);
  calls[name] = function (this: RuntimeDriver, ...args: unknown[]): unknown {
    left -= 1;
    if (left === 0) breakOff(kind ?? '', name);
    return original.apply(this, args);
  };
}

function breakOff(kind: string, name: string): void {
  const error = new TypeError(`planted beside ${name}`);
  if (kind === 'reject') void Promise.reject(error);
  else if (kind === 'tick') process.nextTick(() => raise(error));
  else setTimeout(() => raise(error), 1);
}

function raise(error: Error): never {
  throw error;
}

import { CodedError } from '../kernel/errors.ts';
import type { RuntimeDriver } from './driver.ts';

/** Calls of the port that have one answer; streams are not timed. */
const TIMED = [
  'info',
  'findImage',
  'listImages',
  'pullImage',
  'create',
  'start',
  'stop',
  'pause',
  'unpause',
  'remove',
  'inspect',
  'list',
  'stats',
  'readFile',
] as const;

/** The same driver, with every call told to `onCall`: its name, `ok` or the error's code, and how long it took. */
export function measuredDriver(
  driver: RuntimeDriver,
  onCall: (call: string, outcome: string, durationMs: number) => void,
): RuntimeDriver {
  const timed = TIMED.map((name) => {
    const call = driver[name].bind(driver) as (...args: unknown[]) => Promise<unknown>;
    const measured = async (...args: unknown[]): Promise<unknown> => {
      const startedMs = performance.now();
      let outcome = 'ok';
      try {
        return await call(...args);
      } catch (error) {
        outcome = error instanceof CodedError ? error.code : 'aborted';
        throw error;
      } finally {
        onCall(name, outcome, performance.now() - startedMs);
      }
    };
    return [name, measured];
  });
  return {
    ...(Object.fromEntries(timed) as Pick<RuntimeDriver, (typeof TIMED)[number]>),
    events: (options) => driver.events(options),
    imageEvents: (options) => driver.imageEvents(options),
    logs: (id, options) => driver.logs(id, options),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}

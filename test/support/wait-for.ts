import { setTimeout as delay } from 'node:timers/promises';

/** Between two looks, ms: short, since most conditions hold soon. */
const FIRST_PAUSE_MS = 10;
const MAX_PAUSE_MS = 100;

/**
 * Resolves with how long it took, ms, once `condition` holds; fails with what was waited for when the time is over.
 * What `condition` throws ends the wait.
 */
export async function waitFor(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const startedMs = performance.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 1.5)) {
    if (await condition()) return performance.now() - startedMs;
    if (performance.now() - startedMs > timeoutMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(pauseMs);
  }
}

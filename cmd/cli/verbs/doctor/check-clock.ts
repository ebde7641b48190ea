import { fail, ok, type Finding } from './finding.ts';

/** Before this program was made: a clock that says so is not set. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);

export function checkClock(nowMs: number): Finding {
  const text = new Date(nowMs).toISOString();
  if (nowMs >= EARLIEST_MS) return ok('clock', text);
  return fail(
    'clock',
    `${text} cannot be right, and certificates and ids depend on it`,
    'set the clock, for example with NTP',
  );
}

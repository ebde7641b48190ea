/** `FAULTS=full` asks for the full figures; otherwise the share that every test run can afford. */
export const IS_FULL: boolean = process.env['FAULTS'] === 'full';

/** The figure to reach in this run. */
export function figure(short: number, full: number): number {
  return IS_FULL ? full : short;
}

/**
 * A bound on time, ms: exact with the full figures, which have the machine to themselves; otherwise it leaves room for
 * whatever else runs at the same time.
 */
export function boundMs(exactMs: number): number {
  return figure(3, 1) * exactMs;
}

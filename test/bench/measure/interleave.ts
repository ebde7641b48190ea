import type { Round } from './row.ts';
import { takeTurns, type Turns } from './take-turns.ts';

export interface Contest extends Omit<Turns<never>, 'contestants'> {
  readonly ours: () => Promise<number>;
  readonly baseline: () => Promise<number>;
}

/** Measures both in turn, A B A B, so that whatever else the machine does meets both. */
export function interleave({ ours, baseline, ...turns }: Contest): Promise<Round[]> {
  return takeTurns({ ...turns, contestants: { ours, baseline } });
}

import type { Round } from './row.ts';

export interface Contest {
  readonly rounds: number;
  /** Rounds before those that count: compilers, caches and clocks settle. */
  readonly warmUps: number;
  readonly ours: () => Promise<number>;
  readonly baseline: () => Promise<number>;
  /** After each of both, outside what is measured. */
  readonly afterEach?: () => Promise<void>;
  readonly onRound?: (done: number, total: number) => void;
}

/** Measures both in turn, A B A B, so that whatever else the machine does meets both. */
export async function interleave(contest: Contest): Promise<Round[]> {
  const total = contest.warmUps + contest.rounds;
  const all: Round[] = [];
  for (let done = 0; done < total; done += 1) {
    contest.onRound?.(done, total);
    const ours = await contest.ours();
    await contest.afterEach?.();
    const baseline = await contest.baseline();
    await contest.afterEach?.();
    all.push({ ours, baseline });
  }
  return all.slice(contest.warmUps);
}

import { Fleet } from '../cluster/fleet.ts';
import { lagsOf } from '../cluster/lags.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import { quantile } from '../measure/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** Changes per second that are tried, one after the other. */
const CASES = [
  { size: 3, rates: [250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_500, 8_000], atLeast: 5_000 },
  { size: 10, rates: [20, 50, 100, 200, 350, 500, 750, 1_000, 1_500, 2_000], atLeast: 1_000 },
] as const;
const RUN_SECONDS = 3;
/** As far as all may be behind, but for one change in a hundred, ms. */
const MAX_LAG_MS = 100;
const SHARE = 0.99;
/** Whoever else is at work here may spoil one. */
const TRIES = 2;

/** How many changes per second of all nodes together reach all others in time. */
export const clusterRate: Suite = {
  name: 'cluster-rate',
  title: `changes per second with every mirror less than ${MAX_LAG_MS} ms behind`,
  run: async (context) => {
    const rows: Row[] = [];
    for (const each of CASES) rows.push(await measure(context, each));
    return rows;
  },
};

async function measure(
  context: BenchContext,
  { size, rates, atLeast }: { size: number; rates: readonly number[]; atLeast: number },
): Promise<Row> {
  const ramp = async (kind: string): Promise<number> => {
    // New ones each time: what was too much for them before must not be counted against them.
    await using fleet = await Fleet.start(kind, size, context);
    let sustained = 0;
    for (const rate of rates) {
      context.progress.step(`${size} of ${kind}, ${rate}/s`);
      if (!(await keepsUp(fleet, rate))) break;
      sustained = rate;
    }
    return sustained;
  };
  const rounds = await interleave({
    rounds: context.isQuick ? 1 : 3,
    warmUps: 0,
    ours: () => ramp('member'),
    baseline: () => ramp('raw-gossip'),
  });
  return rowOf({
    suite: clusterRate.name,
    name: `${size} nodes, changes`,
    unit: '/s',
    baselineName: 'gossipsub',
    aim: { kind: 'figure', atLeast },
    rounds,
  });
}

async function keepsUp(fleet: Fleet, rate: number): Promise<boolean> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const lags = lagsOf(await fleet.talk(rate, RUN_SECONDS));
    if (quantile(lags, SHARE) < MAX_LAG_MS) return true;
  }
  return false;
}

import { Fleet } from '../cluster/fleet.ts';
import { lagsOf } from '../cluster/lags.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import { median, quantile } from '../measure/statistics.ts';
import { formatFigure } from '../report/table.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** Changes per second that are tried, one after the other. */
const CASES = [
  {
    size: 3,
    rates: [100, 250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_500, 8_000],
    costAt: 1_000,
    atLeast: 5_000,
  },
  {
    size: 10,
    rates: [10, 20, 50, 100, 200, 350, 500, 750, 1_000, 1_500, 2_000],
    costAt: 100,
    atLeast: 1_000,
  },
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

interface Case {
  readonly size: number;
  readonly rates: readonly number[];
  /** At which it is seen how much work a change is. */
  readonly costAt: number;
  readonly atLeast: number;
}

async function measure(context: BenchContext, { size, rates, costAt, atLeast }: Case): Promise<Row> {
  const costs: Record<string, number[]> = {};
  const ramp = async (kind: string): Promise<number> => {
    // New ones each time: what was too much for them before must not be counted against them.
    await using fleet = await Fleet.start(kind, size, context);
    context.progress.step(`${size} of ${kind}, work`);
    (costs[kind] ??= []).push(await workOf(fleet, costAt));
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
  const works = ['member', 'raw-gossip'].map((kind) => formatFigure(median(costs[kind] ?? []), 'ms'));
  context.note(
    `${size} nodes, ${costAt} changes/s: each is ${works[0]} of work for all of them; of gossipsub ${works[1]}`,
  );
  return rowOf({
    suite: clusterRate.name,
    name: `${size} nodes, changes`,
    unit: '/s',
    baselineName: 'gossipsub',
    aim: { kind: 'figure', atLeast },
    rounds,
  });
}

/** Of the processors, for one change in all processes together, ms: a busy machine makes everything late, and this hardly more. */
async function workOf(fleet: Fleet, rate: number): Promise<number> {
  const total = async (): Promise<number> => (await fleet.spent()).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  // What was just started is slower: it is not compiled yet.
  await fleet.talk(rate, RUN_SECONDS);
  const before = await total();
  const words = await fleet.talk(rate, RUN_SECONDS);
  const count = words.reduce((sum, { said }) => sum + said.length, 0);
  return ((await total()) - before) / count;
}

async function keepsUp(fleet: Fleet, rate: number): Promise<boolean> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const lags = lagsOf(await fleet.talk(rate, RUN_SECONDS));
    if (quantile(lags, SHARE) < MAX_LAG_MS) return true;
  }
  return false;
}

import { Fleet } from '../cluster/fleet.ts';
import { lagsOf } from '../cluster/lags.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Aim, type Round, type Row } from '../measure/row.ts';
import { median, quantile } from '../measure/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** Few enough that nothing waits for anything else; all nodes speak. */
const CASES = [
  { size: 3, perSecond: 30, half: { kind: 'figure', below: 5 }, most: { kind: 'figure', below: 30 } },
  { size: 10, perSecond: 20, half: { kind: 'ratio', atMost: 1.5 }, most: { kind: 'ratio', atMost: 1.5 } },
] as const satisfies readonly { size: number; perSecond: number; half: Aim; most: Aim }[];
const ROUND_SECONDS = 4;
const MOST = 0.99;

/** From the commit of a change at its owner until a client of another node is told of it. */
export const clusterLatency: Suite = {
  name: 'cluster-latency',
  title: 'time from a change to its arrival at the other nodes',
  run: async (context) => {
    const rows: Row[] = [];
    for (const each of CASES) rows.push(...(await measure(context, each)));
    return rows;
  },
};

async function measure(
  context: BenchContext,
  { size, perSecond, half, most }: { size: number; perSecond: number; half: Aim; most: Aim },
): Promise<Row[]> {
  await using members = await Fleet.start('member', size, context);
  await using raw = await Fleet.start('raw-gossip', size, context);
  const slowest: Round[] = [];
  const lags = { ours: [] as number[], baseline: [] as number[] };
  const talk = async (fleet: Fleet): Promise<number[]> => lagsOf(await fleet.talk(perSecond, ROUND_SECONDS));
  const rounds = await interleave({
    rounds: context.isQuick ? 2 : 9,
    warmUps: 1,
    ours: async () => median((lags.ours = await talk(members))),
    baseline: async () => {
      lags.baseline = await talk(raw);
      slowest.push({ ours: quantile(lags.ours, MOST), baseline: quantile(lags.baseline, MOST) });
      return median(lags.baseline);
    },
    onRound: (done, total) => context.progress.step(`${size} nodes, round ${done + 1} of ${total}`),
  });
  const row = (name: string, aim: Aim, of: readonly Round[]): Row =>
    rowOf({
      suite: clusterLatency.name,
      name: `${size} nodes, change to peers, ${name}`,
      unit: 'ms',
      baselineName: 'gossipsub',
      aim,
      rounds: of,
    });
  return [row('median', half, rounds), row('99 of 100', most, slowest.slice(1))];
}

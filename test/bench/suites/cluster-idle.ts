import { setTimeout as delay } from 'node:timers/promises';
import { Fleet } from '../cluster/fleet.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Measurement, type Round, type Row } from '../measure/row.ts';
import type { Spent } from '../cluster/talker.ts';
import type { Suite } from '../suite.ts';

const SIZE = 10;
/** What a new cluster has to ask of each other is over by then. */
const SETTLE_MS = 20_000;

/** What a node of a cluster costs in which nothing happens. */
export const clusterIdle: Suite = {
  name: 'cluster-idle',
  title: `an idle cluster of ${SIZE} nodes`,
  run: async (context) => {
    const seconds = context.isQuick ? 5 : 20;
    await using members = await Fleet.start('member', SIZE, context);
    await using raw = await Fleet.start('raw-gossip', SIZE, context);
    if (!context.isQuick) await delay(SETTLE_MS);
    const traffic: Round[] = [];
    const bytes = { ours: 0 };
    const rounds = await interleave({
      rounds: context.isQuick ? 1 : 3,
      warmUps: 0,
      ours: async () => {
        const spent = await spentIdle(members, seconds);
        bytes.ours = spent.bytes;
        return spent.cpuMs / 10;
      },
      baseline: async () => {
        const spent = await spentIdle(raw, seconds);
        traffic.push({ ours: bytes.ours / 1000, baseline: spent.bytes / 1000 });
        return spent.cpuMs / 10;
      },
      onRound: (done, total) => context.progress.step(`round ${done + 1} of ${total}`),
    });
    return [
      row({ name: `${SIZE} nodes, idle, of a core`, unit: '%', rounds }, 1),
      row({ name: `${SIZE} nodes, idle, sent and received`, unit: 'KB/s', rounds: traffic }, 5),
    ];
  },
};

/** By each of them, in a second, on average. */
async function spentIdle(fleet: Fleet, seconds: number): Promise<Spent> {
  const before = await fleet.spent();
  await delay(seconds * 1000);
  const after = await fleet.spent();
  const perNode = (of: keyof Spent): number =>
    after.reduce((sum, spent, index) => sum + spent[of] - (before[index]?.[of] ?? 0), 0) /
    after.length /
    seconds;
  return { cpuMs: perNode('cpuMs'), bytes: perNode('bytes') };
}

function row(options: Pick<Measurement, 'name' | 'unit' | 'rounds'>, below: number): Row {
  return rowOf({
    ...options,
    suite: clusterIdle.name,
    baselineName: 'gossipsub',
    aim: { kind: 'figure', below },
  });
}

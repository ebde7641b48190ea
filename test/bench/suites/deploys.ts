import { EngineTarget } from '../engine-target.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** Deploys in each round, by how many go on at once. */
const COUNTS: readonly { readonly concurrency: number; readonly count: number }[] = [
  { concurrency: 1, count: 5 },
  { concurrency: 4, count: 12 },
  { concurrency: 10, count: 20 },
];

/** Create, start and inspect of real containers, over the API and straight at the engine. */
export const deploys: Suite = {
  name: 'deploys',
  title: 'deploys per second on the Docker Engine',
  run: async (context) => {
    await using target = await EngineTarget.start(context);
    // The first one makes the network that all of them need.
    await target.deployByNode(1, 1);
    await target.clear();
    const rows: Row[] = [];
    for (const { concurrency, count } of COUNTS) {
      rows.push(await measureDeploys(context, target, concurrency, context.isQuick ? concurrency : count));
    }
    return rows;
  },
};

async function measureDeploys(
  context: BenchContext,
  target: EngineTarget,
  concurrency: number,
  count: number,
): Promise<Row> {
  const rounds = await interleave({
    rounds: context.isQuick ? 2 : 7,
    warmUps: context.isQuick ? 0 : 1,
    ours: async () => count / (await target.deployByNode(count, concurrency)),
    baseline: async () => count / (await target.deployByEngine(count, concurrency)).seconds,
    afterEach: () => target.clear(),
    onRound: (done, total) => context.progress.step(`${concurrency} at once, round ${done + 1} of ${total}`),
  });
  return rowOf({
    suite: deploys.name,
    name: `deploys, ${concurrency} at once`,
    unit: '/s',
    baselineName: 'engine alone',
    aim: { kind: 'ratio', atLeast: 0.95 },
    rounds,
  });
}

/** What a job costs beyond the engine's own work: from the request to `running`, less create and start. */
export const latency: Suite = {
  name: 'latency',
  title: 'time from Create to running, beyond the engine',
  run: async (context) => {
    await using target = await EngineTarget.start(context);
    const rounds = await interleave({
      rounds: context.isQuick ? 4 : 31,
      warmUps: 1,
      ours: async () => (await target.deployByNode(1, 1)) * 1000,
      baseline: async () => (await target.deployByEngine(1, 1)).createAndStartMs,
      afterEach: () => target.clear(),
      onRound: (done, total) => context.progress.step(`container ${done + 1} of ${total}`),
    });
    return [
      rowOf({
        suite: latency.name,
        name: 'Create to running',
        unit: 'ms',
        baselineName: 'create + start',
        aim: { kind: 'difference', below: 10 },
        rounds,
      }),
    ];
  },
};

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../child.ts';
import type { CatchUp, TalkerStart } from '../cluster/talker.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf } from '../measure/row.ts';
import type { BenchContext, Suite } from '../suite.ts';

const RECORDS = 10_000;

/** How long a node that joins takes until it has all jobs of another one, on its disk. */
export const clusterCatchUp: Suite = {
  name: 'cluster-catch-up',
  title: `${RECORDS} jobs of another node`,
  run: async (context) => {
    await using ours = await start('member', context);
    await using raw = await start('raw-gossip', context);
    const rounds = await interleave({
      rounds: context.isQuick ? 2 : 7,
      warmUps: 1,
      ours: () => catchUp('member', ours.address, context),
      baseline: () => catchUp('raw-gossip', raw.address, context),
      onRound: (done, total) => context.progress.step(`round ${done + 1} of ${total}`),
    });
    return [
      rowOf({
        suite: clusterCatchUp.name,
        name: `catch-up, ${RECORDS} jobs`,
        unit: 'ms',
        baselineName: 'plain stream',
        aim: { kind: 'figure', below: 1_000 },
        rounds,
      }),
    ];
  },
};

async function start(kind: string, context: BenchContext): Promise<AsyncDisposable & { address: string }> {
  const child = new Child(kind, context);
  const directory = mkdtempSync(join(context.workDir, `${kind}-`));
  const address = await child.ask<string>('start', { directory, bootstrap: [] } satisfies TalkerStart);
  await child.ask('fill', RECORDS);
  return { address, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

/** A process that has nothing yet, each time. */
async function catchUp(kind: string, address: string, context: BenchContext): Promise<number> {
  await using child = new Child(kind, context);
  const directory = mkdtempSync(join(context.workDir, `${kind}-`));
  return await child.ask<number>('catchUp', {
    directory,
    bootstrap: [address],
    records: RECORDS,
  } satisfies CatchUp);
}

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../child.ts';
import type { BullmqStart } from '../children/bullmq-cycles.ts';
import type { Cycles, CyclesStart } from '../children/job-cycles.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import { Redis } from '../redis.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** Both keep as many of the jobs that have ended. */
const KEEP_COUNT = 1_000;
const CONCURRENCY = 64;

/** Of a job that does nothing: enqueued, worked on, complete, and all of that on disk. */
export const cycles: Suite = {
  name: 'cycles',
  title: 'durable job cycles per second',
  run: async (context) => {
    await using redis = await Redis.start(context);
    await using ours = new Child('job-cycles', context);
    await using bullmq = new Child('bullmq-cycles', context);
    const directory = join(context.workDir, 'cycles');
    mkdirSync(directory);
    await ours.ask('start', { keepCount: KEEP_COUNT, directory } satisfies CyclesStart);
    const { port } = redis;
    await bullmq.ask('start', {
      port,
      keepCount: KEEP_COUNT,
      concurrency: CONCURRENCY,
    } satisfies BullmqStart);
    const measure = (inFlight: number, atLeast: number, counts: Counts): Promise<Row> =>
      measureCycles(context, { ours, bullmq, inFlight, atLeast, counts });
    return [
      await measure(1, 2, { ours: 500, bullmq: 250 }),
      await measure(CONCURRENCY, 10, { ours: 8_000, bullmq: 1_000 }),
    ];
  },
};

/** Each side's round takes about as long as the other's. */
interface Counts {
  readonly ours: number;
  readonly bullmq: number;
}

async function measureCycles(
  context: BenchContext,
  options: { ours: Child; bullmq: Child; inFlight: number; atLeast: number; counts: Counts },
): Promise<Row> {
  const { ours, bullmq, inFlight, atLeast, counts } = options;
  const perSecond = async (child: Child, count: number): Promise<number> =>
    count / (await child.ask<number>('run', { count, inFlight } satisfies Cycles));
  const rounds = await interleave({
    rounds: context.isQuick ? 3 : 11,
    warmUps: 1,
    ours: () => perSecond(ours, counts.ours),
    baseline: () => perSecond(bullmq, counts.bullmq),
    onRound: (done, total) => context.progress.step(`${inFlight} in flight, round ${done + 1} of ${total}`),
  });
  return rowOf({
    suite: cycles.name,
    name: `durable job cycle, ${inFlight} in flight`,
    unit: '/s',
    baselineName: 'BullMQ',
    aim: { kind: 'ratio', atLeast },
    rounds,
  });
}

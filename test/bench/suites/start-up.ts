import { setTimeout as delay } from 'node:timers/promises';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Measurement, type Round, type Row } from '../measure/row.ts';
import { Program, shippedProgram, startProgram, timeProcess } from '../program.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** After this the node has nothing left to do, and its memory is what it keeps. */
const SETTLE_MS = 2_000;

/** The program as it is shipped, each time in a new process. */
export const startUp: Suite = {
  name: 'start-up',
  title: 'start-up of the built program',
  run: async (context) => {
    const program = shippedProgram(context);
    return [...(await measureNode(context, program)), await measurePs(context, program)];
  },
};

async function measureNode(context: BenchContext, program: string): Promise<Row[]> {
  const memory: Round[] = [];
  const ours = async (): Promise<{ startMs: number; memoryMb: number }> => {
    const startedMs = performance.now();
    await using node = await startProgram(context, program);
    await node.untilAnswering();
    const startMs = performance.now() - startedMs;
    await delay(SETTLE_MS);
    return { startMs, memoryMb: await node.memoryMb() };
  };
  const rounds = await interleave({
    rounds: context.isQuick ? 3 : 9,
    warmUps: 1,
    ours: async () => {
      const { startMs, memoryMb } = await ours();
      memory.push({ ours: memoryMb, baseline: await idleNodeMb() });
      return startMs;
    },
    baseline: () => timeProcess(['-e', '0']),
    onRound: (done, total) => context.progress.step(`start ${done + 1} of ${total}`),
  });
  return [
    startUpRow({ name: 'start to first answer', baselineName: 'node -e 0', unit: 'ms', below: 300, rounds }),
    startUpRow({
      name: 'idle memory',
      baselineName: 'idle node',
      unit: 'MB',
      below: 110,
      rounds: memory.slice(1),
    }),
  ];
}

async function measurePs(context: BenchContext, program: string): Promise<Row> {
  await using node = await startProgram(context, program);
  await node.untilAnswering();
  const address = `127.0.0.1:${node.port}`;
  const rounds = await interleave({
    rounds: context.isQuick ? 5 : 21,
    warmUps: 1,
    ours: () => timeProcess([program, 'ps', '--address', address]),
    baseline: () => timeProcess(['-e', '0']),
    onRound: (done, total) => context.progress.step(`ps ${done + 1} of ${total}`),
  });
  return startUpRow({
    name: 'container-manager ps',
    baselineName: 'node -e 0',
    unit: 'ms',
    below: 120,
    rounds,
  });
}

function startUpRow(
  options: Pick<Measurement, 'name' | 'baselineName' | 'unit' | 'rounds'> & { readonly below: number },
): Row {
  const { below, ...rest } = options;
  return rowOf({ ...rest, suite: startUp.name, aim: { kind: 'figure', below } });
}

/** Of Node.js with nothing in it, MB. */
async function idleNodeMb(): Promise<number> {
  await using idle = new Program(['-e', 'setInterval(() => {}, 1e9)'], 0, 'ignore');
  await delay(SETTLE_MS / 4);
  return await idle.memoryMb();
}

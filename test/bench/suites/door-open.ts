import { DoorTarget } from '../door-target.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import type { BenchContext, Suite } from '../suite.ts';

/** From a client's first byte to its 101, on the Docker Engine. */
export const doorOpen: Suite = {
  name: 'door-open',
  title: 'time from a client’s first byte to its 101',
  run: async (context) => {
    await using target = await DoorTarget.start(context);
    // The first one makes the network that all of them need, and has the library looked at.
    await target.timeOpening('alone');
    await target.clear();
    return [
      await measureCold(context, target),
      await measureShared(context, target),
      await measureWarm(context, target),
    ];
  },
};

/** A container of its own for each client, made when it comes. */
async function measureCold(context: BenchContext, target: DoorTarget): Promise<Row> {
  const rounds = await interleave({
    rounds: context.isQuick ? 4 : 31,
    warmUps: 1,
    ours: () => target.timeOpening('alone'),
    baseline: () => target.timeEngine(),
    afterEach: () => target.clear(),
    onRound: (done, total) => context.progress.step(`cold, client ${done + 1} of ${total}`),
  });
  return rowOf({
    suite: doorOpen.name,
    name: 'client to 101, cold',
    unit: 'ms',
    baselineName: 'create + start',
    aim: { kind: 'difference', below: 30 },
    rounds,
  });
}

/** One container for all of them, which runs. */
async function measureShared(context: BenchContext, target: DoorTarget): Promise<Row> {
  using _held = await target.holdShared();
  const rounds = await interleave({
    rounds: context.isQuick ? 10 : 101,
    warmUps: 5,
    ours: () => target.timeOpening('shared'),
    baseline: () => target.timeWithoutNode(),
    onRound: (done, total) => context.progress.step(`shared, client ${done + 1} of ${total}`),
  });
  return rowOf({
    suite: doorOpen.name,
    name: 'client to 101, shared and running',
    unit: 'ms',
    baselineName: 'no node',
    aim: { kind: 'figure', below: 5 },
    rounds,
  });
}

/** A container that was kept ready and paused, for a client alone; the next is made when it has gone. */
async function measureWarm(context: BenchContext, target: DoorTarget): Promise<Row> {
  await target.keepWarm();
  const rounds = await interleave({
    rounds: context.isQuick ? 4 : 31,
    warmUps: 1,
    ours: () => target.timeOpening('warm'),
    baseline: () => target.timeEngine(),
    afterEach: () => target.untilWarm(),
    onRound: (done, total) => context.progress.step(`warm, client ${done + 1} of ${total}`),
  });
  return rowOf({
    suite: doorOpen.name,
    name: 'client to 101, warm',
    unit: 'ms',
    baselineName: 'create + start',
    aim: { kind: 'figure', below: 20 },
    rounds,
  });
}

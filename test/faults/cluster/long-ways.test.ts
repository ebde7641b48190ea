import { expect, test } from 'vitest';
import { type Member, untilConnected, untilEqual } from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster } from '../../support/fake-engine-cluster.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { LateRelay } from '../../support/late-relay.ts';
import { EQUAL_AT_WORST_MS, timeToTell, TOLD_WITHIN_MS, untilSettled } from './support.ts';

/** Each way. */
const LATENESS = { minMs: 50, maxMs: 200 };
const BEFORE = figure(500, 10_000);
/** Who joins late knows everything after this, ms. */
const CAUGHT_UP_WITHIN_MS = 10_000;
const TOLD_COUNT = figure(10, 100);
const ASKED_WITHIN_MS = 2_000;
const UNKNOWN_JOB = '01900000-0000-7000-8000-000000000000';

test(
  `where all takes ${LATENESS.minMs} to ${LATENESS.maxMs} ms either way, ${BEFORE} jobs are caught up with, and news is told in time`,
  async () => {
    await using engine = await FakeEngineCluster.make();
    const [near] = (await engine.start(1)) as [Member];
    await near.rpc('QueueService.Pause', {});
    for (let made = 0; made < BEFORE; made += 50)
      await Promise.all(Array.from({ length: 50 }, () => create(near)));
    await using relay = await LateRelay.start(near.p2pPort, LATENESS);
    const far = await engine.cluster.add({ bootstrap: [`/ip4/127.0.0.1/tcp/${relay.port}`] });
    await far.start();
    await untilConnected([near, far]);
    const caughtUpMs = await untilEqual([near, far], EQUAL_AT_WORST_MS);
    // They are connected by the long way and no other.
    const { rtt_ms } = await far.rpc('PeerService.Ping', { node_id: near.id });
    expect(rtt_ms).toBeGreaterThan(2 * LATENESS.minMs);
    await near.rpc('QueueService.Resume', {});
    const toldMs: number[] = [];
    for (let count = 0; count < TOLD_COUNT; count += 1)
      toldMs.push(await timeToTell(near, far), await timeToTell(far, near));
    const askedMs = performance.now();
    await expect(far.rpc('ContainerService.Status', { job_id: UNKNOWN_JOB })).rejects.toMatchObject({
      reason: 'not_found',
    });
    const answeredMs = performance.now() - askedMs;
    console.log(
      `a long way: caught up with ${BEFORE} jobs after ${Math.round(caughtUpMs)} ms, ping ${Math.round(rtt_ms)} ms, ` +
        `told within ${Math.round(Math.max(...toldMs))} ms, an unknown job after ${Math.round(answeredMs)} ms`,
    );
    expect(caughtUpMs).toBeLessThan(boundMs(CAUGHT_UP_WITHIN_MS));
    expect(Math.max(...toldMs)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    expect(answeredMs).toBeLessThan(boundMs(ASKED_WITHIN_MS));
    await untilSettled([near, far]);
    expect(engine.duplicates()).toEqual([]);
  },
  figure(120_000, 600_000),
);

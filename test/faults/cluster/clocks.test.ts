import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { listJobs, type Member, untilConnected, untilEqual } from '../../support/cluster-processes.ts';
import { create, FakeEngineCluster, LONG_JOB, SHORT_JOB } from '../../support/fake-engine-cluster.ts';
import { boundMs, IS_FULL } from '../../support/figure.ts';
import { JumpingClock } from '../support/jumping-clock.ts';
import { timeToTell, TOLD_WITHIN_MS, untilSettled } from './support.ts';

const EQUAL_WITHIN_MS = 10_000;
/** A beacon and a round of whatever goes by time. */
const WATCH_MS = 6_000;
const DAY_MS = 86_400_000;

const JUMPS = [
  ['+400d', '-400d'],
  ['-400d', '+400d'],
];

// Both wait for most of their time.
test.concurrent.each(IS_FULL ? JUMPS : JUMPS.slice(0, 1))(
  'a clock that is set to %s, and then to %s: nothing is lost, early or out of order',
  async (...jumps) => {
    using clock = new JumpingClock();
    await using engine = await FakeEngineCluster.make();
    const jumping = await engine.cluster.add();
    await jumping.start({ env: clock.env });
    const others = await engine.start(2);
    const members = [jumping, ...others];
    const [other] = others as [Member];
    const made = new Map<string, Member>();
    const running: string[] = [];
    for (const member of members) {
      made.set(await create(member), member);
      running.push(await create(member, LONG_JOB));
    }
    for (const jump of jumps) {
      clock.jump(jump);
      for (const member of members) made.set(await create(member, SHORT_JOB), member);
      expect(await timeToTell(jumping, other)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
      expect(await timeToTell(other, jumping)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
      await delay(WATCH_MS);
      await untilEqual(members, EQUAL_WITHIN_MS);
      for (const member of members) {
        const jobs = await listJobs(member.home.port, { all_nodes: true });
        expect(jobs.filter(({ lost }) => lost === true)).toEqual([]);
        const known = new Set(jobs.map(({ job_id }) => job_id));
        expect([...made.keys()].filter((id) => !known.has(id))).toEqual([]);
        expect(jobs.filter(({ job_id, status }) => running.includes(job_id) && status !== 'running')).toEqual(
          [],
        );
        expect(Math.max(...jobs.map(({ age_ms }) => age_ms))).toBeLessThan(20_000);
      }
      // It comes back as itself, whatever it takes the time to be.
      await jumping.node.kill();
      await jumping.start({ env: clock.env });
      await untilConnected(members);
      expect(await timeToTell(jumping, other)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
      await untilEqual(members, EQUAL_WITHIN_MS);
    }
    // The clock that the nodes saw was the one that jumped.
    const newest = (await listJobs(jumping.home.port)).map(({ created_at }) => Date.parse(created_at));
    expect(Math.max(...newest) - Math.min(...newest)).toBeGreaterThan(700 * DAY_MS);
    const { events } = await jumping.rpc('JobService.History', { job_id: running[0] ?? '' });
    const seqs = events.map(({ id }) => Number(id.split('-')[1]));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    for (const member of members) expect(member.logged('two nodes run with one identity')).toEqual([]);
    for (const id of running) await other.rpc('ContainerService.Stop', { job_id: id, wait_ms: 5_000 });
    await untilSettled(members);
    expect(engine.duplicates()).toEqual([]);
  },
  90_000,
);

/** As long as nothing is heard of a node until its jobs count as lost, and more, ms. */
const SILENT_MS = 22_000;

const LOSSES: readonly [string, (file: string) => boolean][] = [
  ['all but its identity', (file) => file !== 'identity.key'],
  ['its mirrors', (file) => file.startsWith('mirror.db')],
];
test.concurrent.each(IS_FULL ? LOSSES : LOSSES.slice(0, 1))(
  'a node that comes back without %s, and with a clock that was set back, is heard as ever',
  async (_what, isGone) => {
    using clock = new JumpingClock();
    await using engine = await FakeEngineCluster.make();
    const jumping = await engine.cluster.add();
    await jumping.start({ env: clock.env });
    const [other] = (await engine.start(1)) as [Member];
    const members = [jumping, other];
    await create(jumping);
    const runs = await create(jumping, LONG_JOB);
    await other.rpc('JobService.Wait', { job_id: runs, until: 'running' });
    await untilEqual(members, EQUAL_WITHIN_MS);
    await jumping.node.stop();
    for (const file of readdirSync(jumping.home.dataDir))
      if (isGone(file)) rmSync(join(jumping.home.dataDir, file), { recursive: true });
    clock.jump('-400d');
    await jumping.start({ env: clock.env });
    await untilConnected(members);
    expect(await timeToTell(jumping, other)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    expect(await timeToTell(other, jumping)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    await delay(SILENT_MS);
    await untilEqual(members, EQUAL_WITHIN_MS);
    for (const member of members) {
      const jobs = await listJobs(member.home.port, { all_nodes: true });
      expect(jobs.filter(({ lost }) => lost === true)).toEqual([]);
      expect(jobs.find(({ job_id }) => job_id === runs)).toMatchObject({
        status: 'running',
        owner: jumping.id,
      });
      expect(member.logged('two nodes run with one identity')).toEqual([]);
      expect(await member.rpc('SystemService.Health', {})).toMatchObject({ status: 'ok' });
    }
    await untilSettled(members);
    expect(engine.duplicates()).toEqual([]);
  },
  120_000,
);

import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeDriver } from '../../support/fake-driver.ts';
import { NodeHome } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { EngineServer } from '../../support/engine-server.ts';
import { listJobs } from './support/verdict.ts';

/** Beside which call of the engine, at which of its passages, and how it breaks off. */
const PLACES = [
  'throw info 1',
  'reject info 1',
  'tick info 1',
  'throw events 1',
  'reject events 1',
  'throw list 1',
  'tick list 2',
  'reject list 1',
  'throw create 1',
  'reject create 2',
  'tick create 4',
  'throw start 1',
  'reject start 3',
  'tick start 2',
  'throw inspect 2',
  'reject inspect 5',
  'tick inspect 8',
  'throw stop 1',
  'reject stop 1',
  'throw remove 1',
  'reject logs 1',
  'tick stats 1',
] as const;

let bundle: DaemonBundle;
beforeAll(async () => {
  bundle = await DaemonBundle.make();
});
afterAll(() => bundle[Symbol.dispose]());

test(`what nobody catches, in ${PLACES.length} places: logged once, exit 1, nothing lost`, async () => {
  const driver = new FakeDriver({ latencyMs: 1 });
  driver.addImage('test');
  await using engine = await EngineServer.start(driver);
  await using home = await NodeHome.create({
    program: bundle.program,
    env: { CM_TEST_ENGINE: engine.socketPath },
    settings: { reconcile_interval: '300ms', worker_count: 4 },
  });
  const acknowledged = new Set<string>();
  const removed = new Set<string>();
  for (const place of PLACES) {
    const logged = home.spawn({ env: { CM_TEST_FAULT: place } });
    const logBefore = fatalLines(home).length;
    while (!logged.hasExited) {
      try {
        const { job_id } = await logged.rpc('ContainerService.Create', { image: 'test' }, 2_000);
        acknowledged.add(job_id);
        await logged.rpc('JobService.Wait', { job_id, until: 'running' }, 2_000);
        await logged.get(`/v1/jobs/${job_id}/logs`);
        await logged.rpc('ContainerService.Stats', { job_id }, 2_000);
        await logged.rpc('ContainerService.Stop', { job_id }, 2_000);
        await logged.rpc('JobService.Wait', { job_id }, 2_000);
        removed.add(job_id);
        await logged.rpc('ContainerService.Remove', { job_id }, 2_000);
      } catch {
        // It is not up yet, or gone.
        await Promise.race([logged.exited, new Promise((resolve) => setTimeout(resolve, 10))]);
      }
    }
    expect(await logged.exited, place).toEqual({ code: 1, signal: null });
    const fatal = fatalLines(home).slice(logBefore);
    expect(fatal, place).toHaveLength(1);
    expect(fatal[0]).toContain(`planted beside ${place.split(' ')[1]}`);
  }
  const node = await home.start();
  const known = new Set((await listJobs(node)).map((job) => job.job_id));
  expect([...acknowledged].filter((id) => !known.has(id) && !removed.has(id))).toEqual([]);
  expect(acknowledged.size).toBeGreaterThan(10);
  await waitFor('every job to run or end', 20_000, async () => {
    return (await listJobs(node, ['pending', 'starting', 'stopping'])).length === 0;
  });
  const jobsOf = [...driver.instances.values()].map(({ labels }) => labels['container-manager.job']);
  expect(new Set(jobsOf).size).toBe(jobsOf.length);
}, 600_000);

function fatalLines(home: NodeHome): string[] {
  return home
    .log()
    .split('\n')
    .filter((line) => line.includes('"level":60'));
}

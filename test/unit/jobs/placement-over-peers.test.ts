import { describe, expect, it } from 'vitest';
import { carriedCallHandler } from '../../../src/jobs/serve-calls.ts';
import { ClusterJobs } from '../../../src/jobs/cluster-jobs.ts';
import { JobPlacement } from '../../../src/jobs/placement/job-placement.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { PeerCalls } from '../../../src/peers/calls.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { NO_TELEMETRY } from '../../../src/telemetry/telemetry.ts';
import { FakeMirror } from '../../support/fake-mirror.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PeerPair, type PairedNetwork } from '../../support/peer-pair.ts';
import { waitFor } from '../../support/wait-for.ts';

interface Side {
  readonly harness: JobHarness;
  readonly jobs: ClusterJobs;
}

async function join(network: PairedNetwork, parts: AsyncDisposableStack): Promise<Side> {
  const owner = network.nodeId;
  const harness = parts.use(await JobHarness.start({ owner }));
  const deps = { network, clock: systemClock, logger: SILENT_LOGGER };
  const carrier = new PeerCalls({
    ...deps,
    onInvariantError: (error) => {
      throw error;
    },
  });
  const { jobs: own, log, store, driver, gate: engine } = harness;
  const shared = { owner, carrier, mirror: new FakeMirror(), clock: systemClock };
  const placement = parts.use(
    new JobPlacement({
      ...shared,
      ...{ jobs: own, log, store, driver, engine, logger: SILENT_LOGGER, telemetry: NO_TELEMETRY },
      members: {
        connected: () => network.connected(),
        subscribe: (listener) => network.subscribe(listener),
      },
    }),
  );
  carrier.serve(carriedCallHandler(own, placement.host));
  placement.start();
  const { placements } = placement;
  return { harness, jobs: new ClusterJobs({ ...shared, own, maxWaitMs: 60_000, placements }) };
}

function request(more: Record<string, unknown>) {
  const { placement, ...spec } = more;
  const parsed = jobSpecSchema.parse({ image: TEST_IMAGE, ...spec });
  return { ...parsed, placement: placement as string };
}

describe('placement over the calls of peers', () => {
  it('gives jobs to the other node, answers with its refusals, and goes on after a cut', async () => {
    await using parts = new AsyncDisposableStack();
    const pair = new PeerPair('12D3KooWNear' as NodeId, '12D3KooWFar' as NodeId);
    const near = await join(pair.a, parts);
    const far = await join(pair.b, parts);
    near.harness.jobs.setCordoned(true);

    const { job } = await near.jobs.create(request({ placement: 'any', env: { A: 'b' } }), 'somebody');
    expect(job).toMatchObject({ owner: '12D3KooWFar', caller: 'somebody' });
    await far.harness.reach(job.id, 'running');
    expect(far.harness.log.require(job.id).spec.env).toEqual({ A: 'b' });

    const keyed = request({ placement: '12D3KooWFar', idempotency_key: 'k' });
    const first = await near.jobs.create(keyed, 'somebody');
    expect(await near.jobs.create(keyed, 'somebody')).toMatchObject({
      job: { id: first.job.id, owner: '12D3KooWFar' },
      deduplicated: true,
    });
    const other = { ...keyed, arguments: ['x'] };
    await expect(near.jobs.create(other, 'somebody')).rejects.toMatchObject({ code: 'idempotency_conflict' });

    far.harness.jobs.setCordoned(true);
    const refused = near.jobs.create(request({ placement: '12D3KooWFar' }), 'somebody');
    await expect(refused).rejects.toMatchObject({ code: 'draining', retryable: true });
    far.harness.jobs.setCordoned(false);

    // The answer is on its way when the connection is cut.
    const cut = far.harness.log.subscribe((_event, after, before) => {
      if (before === undefined && after?.caller === 'cut') pair.disconnect();
    });
    const creating = near.jobs.create(request({ placement: '12D3KooWFar' }), 'cut');
    await waitFor(
      'the target to be stored',
      PATIENCE.timeout,
      () => near.harness.store.placements().length === 1,
    );
    await waitFor('the cut', PATIENCE.timeout, () => pair.a.connected().length === 0);
    cut[Symbol.dispose]();
    pair.connect();
    const made = await creating;
    const all = far.harness.jobs.list({ limit: 100 }).jobs.filter((one) => one.job.caller === 'cut');
    expect(all.map((one) => one.job.id)).toEqual([made.job.id]);
    expect(near.harness.store.placements()).toEqual([]);
  });
});

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../../../src/config/load.ts';
import { variableOf, type SettingKey } from '../../../src/config/settings.ts';
import type { JobLog, NewJob } from '../../../src/jobs/job-log.ts';
import type { JobState } from '../../../src/jobs/job.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { newJobId, type JobId } from '../../../src/kernel/ids.ts';
import { NodePeers } from '../../../src/node-peers.ts';
import { loadIdentity } from '../../../src/peers/identity.ts';
import { loadMembership } from '../../../src/peers/membership.ts';
import { Health } from '../../../src/telemetry/health.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { PeerTelemetry } from '../../../src/telemetry/peer-telemetry.ts';
import { NO_TELEMETRY } from '../../../src/telemetry/telemetry.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { talkWith } from '../cluster/pace.ts';
import { Recorder } from '../cluster/recorder.ts';
import { Spending } from '../cluster/spent.ts';
import type { CatchUp, Talk, TalkerStart, Words } from '../cluster/talker.ts';
import { NoopDriver } from '../noop-driver.ts';
import { serveParent } from './parent.ts';

/**
 * A member of a cluster: the jobs of a node, on disk, and its peers, as the node puts them together; without an API and without
 * workers. What happens to jobs is made up here, so that nothing but the log and what follows from it is measured.
 */

/** What becomes of a job, one change after the other. */
const LIFE = ['pulling', 'starting', 'running', 'complete'] as const satisfies readonly JobState[];
/** Between two changes of one job, ms: otherwise only the last of them would have to be told. */
const CHANGE_INTERVAL_MS = 250;
/** Of jobs that are made at once. */
const FILL_BATCH = 500;
const SPEC = jobSpecSchema.parse({
  image: TEST_IMAGE,
  name: 'bench',
  arguments: ['sleep', '600'],
  resources: { cpu: 0.5, memory: '32m' },
});

interface Unfinished {
  readonly id: JobId;
  readonly changes: number;
  readonly changedAtMs: number;
}

const spending = new Spending();
const recorder = new Recorder();
const stopping = new AbortController();
let harness: JobHarness | undefined;
let peers: NodePeers | undefined;
let syncedRecords = 0;
const unfinished: Unfinished[] = [];

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

async function start({ directory, bootstrap }: TalkerStart): Promise<string> {
  const settings: Partial<Record<SettingKey, string>> = {
    data_dir: directory,
    listen_address: '127.0.0.1',
    p2p_port: '0',
    // One for all of them, beside their directories.
    cluster_key_file: join(directory, '..', 'cluster.key'),
    'peers.mdns': 'false',
    'peers.bootstrap': bootstrap.join(','),
  };
  const given = Object.entries(settings).filter(([, text]) => text !== '');
  const env = Object.fromEntries(given.map(([key, text]) => [variableOf(key as SettingKey), text]));
  const { config } = loadConfig({ flags: {}, env });
  const logger = createLogger({ level: 'warn' });
  const identity = loadIdentity(join(directory, 'identity.key'));
  const membership = loadMembership({
    dataDir: directory,
    keyFile: config.cluster_key_file,
    nodeId: identity.nodeId,
    log: logger,
  });
  harness = new JobHarness({ directory, driver: new NoopDriver(), onFatal: fail });
  const { store, log, jobs: own, driver, gate: engine } = harness;
  const self = { node_id: identity.nodeId, cluster_id: membership.clusterId, name: 'bench' };
  peers = await NodePeers.start(
    { config, dataDir: directory, identity, membership, self, version: '0' },
    {
      clock: systemClock,
      logger,
      metrics: countSynced(new Metrics({ version: '0', methods: [] }).peers),
      health: new Health().register('peers', { isRequired: false }),
      log,
      store,
      own,
      engine,
      driver,
      telemetry: NO_TELEMETRY,
      isDraining: () => false,
      onFatal: fail,
    },
  );
  log.subscribe(({ jobId, seq }) => recorder.said(jobId, seq));
  const [address = ''] = peers.view.identity().addresses;
  return address;
}

/** What was fetched is counted when a transfer has ended, and is flushed. */
function countSynced<Counters extends PeerTelemetry>(telemetry: Counters): Counters {
  const synced = telemetry.synced.bind(telemetry);
  telemetry.synced = (scope, outcome, records, durationMs) => {
    synced(scope, outcome, records, durationMs);
    if (outcome === 'ok') syncedRecords += records;
  };
  return telemetry;
}

/** What a client is told that follows the jobs of all nodes. */
async function listen(): Promise<void> {
  const { jobs } = peers as NodePeers;
  for (;;) {
    try {
      for await (const { jobId, seq, owner } of jobs.events({ allNodes: true, signal: stopping.signal })) {
        if (owner !== undefined) recorder.heard(jobId, seq);
      }
      return;
    } catch (error) {
      // A follower that cannot keep up begins again: what it has missed is not heard.
      if ((error as { code?: string }).code !== 'invalid_state') throw error;
    }
  }
}

async function until(condition: () => boolean): Promise<number> {
  while (!condition()) await delay(1);
  return performance.now();
}

/** Joins, and resolves with how long it took from the first connection until so many jobs were here, flushed to the disk, ms. */
async function catchUp({ records, ...where }: CatchUp): Promise<number> {
  await start(where);
  const connectedMs = await until(() => connected() > 0);
  return (await until(() => syncedRecords >= records)) - connectedMs;
}

function connected(): number {
  return peers?.view.list().filter(({ status }) => status === 'connected').length ?? 0;
}

/** One change: the next of a job that had some time, or else a new job. */
async function change(log: JobLog): Promise<void> {
  const nowMs = performance.now();
  const [eldest] = unfinished;
  if (eldest === undefined || nowMs - eldest.changedAtMs < CHANGE_INTERVAL_MS) {
    const id = await insert(log);
    unfinished.push({ id, changes: 0, changedAtMs: nowMs });
    return;
  }
  unfinished.shift();
  const to = LIFE[eldest.changes] as JobState;
  await log.change(eldest.id, () => ({ to }));
  const changes = eldest.changes + 1;
  if (changes < LIFE.length) unfinished.push({ id: eldest.id, changes, changedAtMs: nowMs });
}

async function insert(log: JobLog): Promise<JobId> {
  const id = newJobId(Date.now());
  const { idempotency_key: _key, wait_ms: _wait, ...spec } = SPEC;
  const draft: NewJob = { id, spec, caller: 'bench', idempotencyKey: undefined };
  await log.insert(draft, { isNewId: true });
  return id;
}

serveParent(
  {
    start,
    listen: async () => void listen().catch(fail),
    connected: async () => connected(),
    heard: async () => recorder.heardCount,
    catchUp,
    talk: (talk: Talk) => talkWith(talk, () => change((harness as JobHarness).log)),
    fill: async (count: number) => {
      const { log } = harness as JobHarness;
      for (let done = 0; done < count; done += FILL_BATCH)
        await Promise.all(Array.from({ length: Math.min(FILL_BATCH, count - done) }, () => insert(log)));
    },
    take: async (): Promise<Words> => recorder.take(),
    spent: async () => spending.total(),
  },
  async () => {
    stopping.abort(new Error('the benchmark is over'));
    await peers?.[Symbol.asyncDispose]();
    await harness?.[Symbol.asyncDispose]();
  },
);

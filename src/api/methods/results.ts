import { z } from 'zod';
import type {
  CatalogProblemView,
  ControllerListView,
  ControllerView,
  CreateResult,
  DiscoveryView,
  HealthView,
  IdentityView,
  JobDetailView,
  JobEventView,
  LiveTestView,
  JobView,
  LogEntry,
  NodeInfoView,
  PeerView,
  QueueStatsView,
  ResolutionView,
  SessionView,
  StatsView,
} from '../wire.ts';
import { HIDDEN } from '../../jobs/hidden.ts';
import { jobStateField } from './fields.ts';

/**
 * The wire types once more, as schemas: for the generated reference, and for the tests that hold replies against it.
 * `omittable` because a member that does not apply is left out, never `undefined`.
 */
const omittable = <Schema extends z.ZodType>(schema: Schema) => schema.exactOptional();

const time = z.string().describe('RFC 3339');

const pull = z.strictObject({
  layers_done: z.int(),
  layers_total: z.int(),
  downloaded_bytes: z.int(),
  total_bytes: z.int(),
});

const port = z.strictObject({
  container: z.int(),
  protocol: z.enum(['tcp', 'udp']),
  host: z.int(),
  address: z.string(),
});

const jobFields = {
  job_id: z.string(),
  status: jobStateField,
  owner: z.string(),
  age_ms: z.int(),
  lost: omittable(z.literal(true)),
  name: omittable(z.string()),
  image: z.string(),
  attempt: z.int(),
  restarts: z.int(),
  priority: z.int(),
  observation: omittable(z.literal('unknown')),
  reason: omittable(z.string()),
  message: omittable(z.string()),
  exit_code: omittable(z.int()),
  signal: omittable(z.string()),
  oom_killed: omittable(z.boolean()),
  duplicate_of: omittable(z.string()),
  retryable: omittable(z.boolean()),
  container_id: omittable(z.string()),
  container_name: z.string(),
  address: omittable(z.string()),
  ports: omittable(z.array(port)),
  labels: omittable(z.record(z.string(), z.string())),
  pull: omittable(pull),
  created_at: time,
  updated_at: time,
  running_at: omittable(time),
  finished_at: omittable(time),
  not_before: omittable(time),
  parent: omittable(z.string()),
  children: omittable(
    z.array(z.strictObject({ job_id: z.string(), node_id: z.string(), status: jobStateField })),
  ),
  abridged: omittable(z.literal(true)),
};

export const jobResult = (): z.ZodType<JobView> => z.strictObject(jobFields);

export const jobDetailResult = (): z.ZodType<JobDetailView> =>
  z.strictObject({ ...jobFields, spec: z.record(z.string(), z.unknown()) });

export const jobListResult = (): z.ZodType<{ jobs: JobView[]; next_cursor?: string }> =>
  z.strictObject({ jobs: z.array(jobResult()), next_cursor: omittable(z.string()) });

export const createResult = (): z.ZodType<CreateResult> =>
  z.strictObject({
    job_id: z.string(),
    message: z.literal('Job created successfully'),
    deduplicated: omittable(z.literal(true)),
    status: omittable(jobStateField),
    owner: omittable(z.string()),
  });

export const eventResult = (): z.ZodType<JobEventView> =>
  z.strictObject({
    id: z.string(),
    job_id: z.string(),
    owner: omittable(z.string()),
    type: z.union([jobStateField, z.literal('removed')]),
    attempt: z.int(),
    at: time,
    reason: omittable(z.string()),
    message: omittable(z.string()),
    exit_code: omittable(z.int()),
  });

export const logEntryResult = (): z.ZodType<LogEntry> =>
  z.strictObject({ stream: z.enum(['stdout', 'stderr']), line: z.string() });

export const statsResult = (): z.ZodType<StatsView> =>
  z.strictObject({
    job_id: z.string(),
    name: omittable(z.string()),
    cpus: z.number(),
    memory_bytes: z.number(),
    memory_limit_bytes: z.number(),
    network_received_bytes: z.number(),
    network_sent_bytes: z.number(),
    block_read_bytes: z.number(),
    block_written_bytes: z.number(),
    pids: z.int(),
  });

export const queueStatsResult = (): z.ZodType<QueueStatsView> =>
  z.strictObject({
    queue_size: z.int(),
    waiting: z.int(),
    delayed: z.int(),
    working: z.int(),
    worker_count: z.int(),
    running: z.int(),
    paused: z.boolean(),
    draining: z.boolean(),
  });

export const healthResult = (): z.ZodType<HealthView> =>
  z.strictObject({
    status: z.enum(['ok', 'degraded']),
    ready: z.boolean(),
    version: z.string(),
    node: z.string(),
    uptime_ms: z.number(),
    parts: z.record(
      z.string(),
      z.strictObject({ status: z.enum(['ok', 'down']), message: omittable(z.string()) }),
    ),
  });

export const peerResult = (): z.ZodType<PeerView> =>
  z.strictObject({
    node_id: z.string(),
    name: omittable(z.string()),
    status: z.enum(['connected', 'heard', 'lost', 'never']),
    addresses: z.array(z.string()),
    direction: omittable(z.enum(['inbound', 'outbound'])),
    connected_since: omittable(time),
    heard_age_ms: omittable(z.number()),
    rtt_ms: omittable(z.number()),
    jobs: z.int(),
    version: omittable(z.string()),
    draining: omittable(z.boolean()),
  });

export const identityResult = (): z.ZodType<IdentityView> =>
  z.strictObject({
    node_id: z.string(),
    cluster_id: z.string(),
    name: z.string(),
    addresses: z.array(z.string()),
  });

export const nodeInfoResult = (): z.ZodType<NodeInfoView> =>
  z.strictObject({
    node_id: z.string(),
    cluster_id: z.string(),
    name: z.string(),
    version: z.string(),
    uptime_ms: z.number(),
    draining: z.boolean(),
    waiting: z.int(),
    working: z.int(),
    running: z.int(),
  });

export const controllerResult = (): z.ZodType<ControllerView> =>
  z.strictObject({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    image: z.string(),
    description: z.string(),
    library_path: z.string(),
    proc_name: z.string(),
    ports: z.strictObject({ internal: z.int(), external: z.int() }),
    env: omittable(z.record(z.string(), z.literal(HIDDEN))),
    resources: omittable(
      z.strictObject({
        cpu: omittable(z.number()),
        memory: omittable(z.int()),
        pids: omittable(z.int()),
      }),
    ),
    sharing: z.enum(['exclusive', 'shared']),
    max_connections: omittable(z.int()),
    max_instances: omittable(z.int()),
    start_timeout: omittable(z.int()),
    idle_timeout: omittable(z.int()),
    warm: z.int(),
    probe: z.strictObject({ tcp: z.int() }),
    allow_path: z.boolean(),
    is_valid: z.boolean(),
    validate_info: omittable(z.string()),
    source: z.enum(['manual', 'discovered']),
    digest: omittable(z.string()),
    format: omittable(z.string()),
    validated_at: omittable(time),
    created_at: omittable(time),
    updated_at: omittable(time),
  });

const catalogProblem: z.ZodType<CatalogProblemView> = z.strictObject({
  message: z.string(),
  line: omittable(z.int()),
  column: omittable(z.int()),
});

export const controllerListResult = (): z.ZodType<ControllerListView> =>
  z.strictObject({
    controllers: z.array(controllerResult()),
    problem: omittable(catalogProblem),
    warnings: omittable(z.array(z.string())),
  });

export const discoveryResult = (): z.ZodType<DiscoveryView> => {
  const names = z.array(z.string());
  return z.strictObject({
    at: time,
    ...{ added: names, updated: names, unchanged: names, removed: names },
    skipped: z.array(z.strictObject({ image: z.string(), reason: z.string() })),
  });
};

export const liveTestResult = (): z.ZodType<LiveTestView> =>
  z.strictObject({
    ...{ id: z.string(), version: z.string(), image: z.string(), digest: z.string() },
    passed: z.boolean(),
    info: z.string(),
    start_ms: omittable(z.int()),
    answer_ms: omittable(z.int()),
    fail: omittable(z.int()),
    message: omittable(z.string()),
  });

export const resolutionResult = (): z.ZodType<ResolutionView> =>
  z.strictObject({
    resolved: z.boolean(),
    id: omittable(z.string()),
    version: omittable(z.string()),
    image: omittable(z.string()),
    library_path: omittable(z.string()),
    proc_name: omittable(z.string()),
    path_ignored: omittable(z.literal(true)),
    reason: omittable(z.string()),
    message: omittable(z.string()),
  });

export const sessionResult = (): z.ZodType<SessionView> =>
  z.strictObject({
    session_id: z.string(),
    client: z.string(),
    controller: omittable(z.string()),
    job_id: z.string(),
    opened_at: time,
    received_bytes: z.int(),
    sent_bytes: z.int(),
  });

/** One metric of ours, as code makes it and the reference page shows it. */
export interface MetricDescription {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels?: readonly string[];
  /** Most combinations of label values; further ones are counted together, each label being `other`. */
  readonly maxSets?: number;
  /** Upper ends of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** What one call of a method or of the engine takes, s. */
const CALL_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30] as const;
/** From a quick start to a long pull, s. */
const DEPLOY_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;
/** From a moment to a day, s. */
const LIFE_SECONDS = [0.01, 0.1, 1, 10, 60, 600, 3600, 86_400] as const;

/** How many containers have series of their own; the others are seen by `stats` only. */
export const MAX_CONTAINER_SETS = 250;

/** Every metric of ours. No label holds an id, except for the bounded number of running containers. */
export const METRICS = {
  container_manager_info: {
    type: 'gauge',
    help: 'Always 1; the version is a label.',
    labels: ['version'],
    maxSets: 1,
  },
  container_manager_jobs_accepted_total: {
    type: 'counter',
    help: 'Jobs that were accepted and are durable.',
  },
  container_manager_jobs_refused_total: {
    type: 'counter',
    help: 'Jobs that were not accepted.',
    labels: ['reason'],
    maxSets: 16,
  },
  container_manager_placements_total: {
    type: 'counter',
    help: 'Creates that concerned other nodes, by where the job was accepted or why not.',
    labels: ['outcome'],
    maxSets: 8,
  },
  container_manager_job_transitions_total: {
    type: 'counter',
    help: 'Changes of a job from one state to another.',
    labels: ['from', 'to'],
    maxSets: 40,
  },
  container_manager_job_state_seconds: {
    type: 'histogram',
    help: 'How long a job was in a state that it has left.',
    labels: ['state'],
    maxSets: 8,
    buckets: LIFE_SECONDS,
  },
  container_manager_jobs_ended_total: {
    type: 'counter',
    help: 'Jobs that ended, by state and reason.',
    labels: ['state', 'reason'],
    maxSets: 48,
  },
  container_manager_job_seconds: {
    type: 'histogram',
    help: 'From the acceptance of a job to its end.',
    labels: ['state'],
    maxSets: 3,
    buckets: LIFE_SECONDS,
  },
  container_manager_deploy_seconds: {
    type: 'histogram',
    help: 'From the moment a worker took a job until its container ran.',
    buckets: DEPLOY_SECONDS,
  },
  container_manager_pulls_total: {
    type: 'counter',
    help: 'Pulls that ended.',
    labels: ['outcome'],
    maxSets: 12,
  },
  container_manager_pull_bytes_total: { type: 'counter', help: 'Bytes that pulls brought.' },
  container_manager_pull_seconds: {
    type: 'histogram',
    help: 'How long a pull took.',
    buckets: DEPLOY_SECONDS,
  },
  container_manager_engine_up: { type: 'gauge', help: '1 while the engine answers, else 0.' },
  container_manager_engine_calls_total: {
    type: 'counter',
    help: 'Calls of the engine that ended.',
    labels: ['call', 'outcome'],
    maxSets: 64,
  },
  container_manager_engine_call_seconds: {
    type: 'histogram',
    help: 'How long a call of the engine took.',
    labels: ['call'],
    maxSets: 16,
    buckets: CALL_SECONDS,
  },
  container_manager_reconciles_total: {
    type: 'counter',
    help: 'Comparisons of the jobs with what the engine runs.',
  },
  container_manager_reconcile_actions_total: {
    type: 'counter',
    help: 'What those comparisons led to.',
    labels: ['action'],
    maxSets: 12,
  },
  container_manager_store_commit_seconds: {
    type: 'histogram',
    help: 'How long a commit took until it was on disk.',
    buckets: CALL_SECONDS,
  },
  container_manager_store_commit_rows: {
    type: 'histogram',
    help: 'How many changes shared a commit.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
  },
  container_manager_store_errors_total: {
    type: 'counter',
    help: 'Commits that failed.',
    labels: ['code'],
    maxSets: 16,
  },
  container_manager_rpc_requests_total: {
    type: 'counter',
    help: 'Calls of JSON-RPC methods that ended; names we do not have are `unknown`.',
    labels: ['method', 'outcome'],
    maxSets: 128,
  },
  container_manager_rpc_request_seconds: {
    type: 'histogram',
    help: 'How long a call of a JSON-RPC method took.',
    labels: ['method'],
    maxSets: 24,
    buckets: CALL_SECONDS,
  },
  container_manager_http_requests_total: {
    type: 'counter',
    help: 'HTTP requests that were answered, by route and class of status.',
    labels: ['route', 'status'],
    maxSets: 48,
  },
  container_manager_requests_refused_total: {
    type: 'counter',
    help: 'Requests and connections that were turned away before they reached a route.',
    labels: ['reason'],
    maxSets: 24,
  },
  container_manager_streams: {
    type: 'gauge',
    help: 'Log and event streams that are open.',
    labels: ['route'],
    maxSets: 8,
  },
  container_manager_queue_jobs: {
    type: 'gauge',
    help: 'Jobs that wait for a worker or for their next attempt.',
  },
  container_manager_workers_busy: { type: 'gauge', help: 'Workers that have a job in hand.' },
  container_manager_containers_running: { type: 'gauge', help: 'Containers of our jobs that run.' },
  container_manager_jobs: {
    type: 'gauge',
    help: 'Jobs the node knows, by state.',
    labels: ['state'],
    maxSets: 8,
  },
  container_manager_container_cpus: {
    type: 'gauge',
    help: `CPUs a container uses, for up to ${MAX_CONTAINER_SETS} running containers.`,
    labels: ['job'],
    maxSets: MAX_CONTAINER_SETS,
  },
  container_manager_container_memory_bytes: {
    type: 'gauge',
    help: `Memory a container uses, for up to ${MAX_CONTAINER_SETS} running containers.`,
    labels: ['job'],
    maxSets: MAX_CONTAINER_SETS,
  },
  container_manager_peers: { type: 'gauge', help: 'Nodes that this one is connected with.' },
  container_manager_peers_lost: {
    type: 'gauge',
    help: 'Nodes whose jobs are known here and that were not heard for 20 s.',
  },
  container_manager_mirrored_jobs: {
    type: 'gauge',
    help: 'Jobs of other nodes that are known here.',
  },
  container_manager_peers_refused_total: {
    type: 'counter',
    help: 'Connections and streams of other nodes that were refused, or that they refused.',
    labels: ['reason'],
    maxSets: 24,
  },
  container_manager_gossip_messages_total: {
    type: 'counter',
    help: 'Gossiped messages: sent by this node, and what became of those that came.',
    labels: ['outcome'],
    maxSets: 12,
  },
  container_manager_gossip_records_total: {
    type: 'counter',
    help: 'Changes of jobs in the gossiped messages that were taken.',
  },
  container_manager_syncs_total: {
    type: 'counter',
    help: 'Questions to other nodes for what is missing here.',
    labels: ['scope', 'outcome'],
    maxSets: 16,
  },
  container_manager_sync_records_total: {
    type: 'counter',
    help: 'Records that other nodes sent when they were asked.',
  },
  container_manager_sync_seconds: {
    type: 'histogram',
    help: 'How long another node took to send all that was missing.',
    buckets: CALL_SECONDS,
  },
  container_manager_replication_faults_total: {
    type: 'counter',
    help: 'What is not as honest and healthy nodes have it: unproved or malformed messages, contradictions, mirrors to be fetched anew.',
    labels: ['fault'],
    maxSets: 12,
  },
  container_manager_door_opened_total: {
    type: 'counter',
    help: 'Clients that were led to a container, by controller; `job` for those that named a job.',
    labels: ['controller'],
    maxSets: 128,
  },
  container_manager_door_refused_total: {
    type: 'counter',
    help: 'Clients that were led nowhere, by the status they were answered with.',
    labels: ['status'],
    maxSets: 16,
  },
  container_manager_door_open_seconds: {
    type: 'histogram',
    help: "From a client's request until it was answered with 101.",
    buckets: DEPLOY_SECONDS,
  },
  container_manager_door_sessions: {
    type: 'gauge',
    help: 'Clients that are connected with a container.',
  },
  container_manager_door_waiting: {
    type: 'gauge',
    help: 'Clients that wait for an instance to become free.',
  },
  container_manager_door_instances: {
    type: 'gauge',
    help: 'Containers made for clients, those that are being ended included.',
  },
} as const satisfies Readonly<Record<string, MetricDescription>>;

export type MetricName = keyof typeof METRICS;
export type MetricNameOf<Type extends MetricDescription['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The table's entry without its literal types. */
export function metricOf(name: MetricName): MetricDescription {
  return METRICS[name];
}

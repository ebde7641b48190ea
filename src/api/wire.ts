/**
 * The API's own shapes, shared by the server and the typed client: what goes over the wire, snake case, times as
 * RFC 3339 text, durations in ms. Only types: importing this costs nothing.
 */

export type JobStatus =
  'pending' | 'pulling' | 'starting' | 'running' | 'stopping' | 'complete' | 'failed' | 'cancelled';

/** A job, as `JobService.Get`, `List` and `/jobs` show it. Fields that do not apply are left out. */
export interface JobView {
  job_id: string;
  status: JobStatus;
  /** The node that runs it, and alone decides about it. */
  owner: string;
  /** How long ago its owner was last heard, in ms; 0 for a job of the node that is asked. */
  age_ms: number;
  /** Its owner was not heard for so long that it may be gone. An observation beside the status, never a status. */
  lost?: true;
  name?: string;
  image: string;
  attempt: number;
  restarts: number;
  priority: number;
  /** `unknown` while the engine does not answer. An observation beside the status, never a status. */
  observation?: 'unknown';
  reason?: string;
  message?: string;
  exit_code?: number;
  signal?: string;
  oom_killed?: boolean;
  /** The node whose job of the same idempotency key counts. */
  duplicate_of?: string;
  retryable?: boolean;
  container_id?: string;
  container_name: string;
  address?: string;
  ports?: { container: number; protocol: 'tcp' | 'udp'; host: number; address: string }[];
  labels?: Record<string, string>;
  /** While the status is `pulling`. */
  pull?: PullView;
  created_at: string;
  updated_at: string;
  running_at?: string;
  finished_at?: string;
  /** When the next attempt or restart begins, where one is due. */
  not_before?: string;
  /** The job that this one is a copy of. */
  parent?: string;
  /** The copies that this job stands for, one on each node; it has no container itself. */
  children?: { job_id: string; node_id: string; status: JobStatus }[];
  /** Labels and spec are not whole: the job is another node's, and large. */
  abridged?: true;
}

export interface PullView {
  layers_done: number;
  layers_total: number;
  downloaded_bytes: number;
  total_bytes: number;
}

/** `JobService.Get`: with the spec as it was understood; values of `env` are replaced by `***`. */
export interface JobDetailView extends JobView {
  spec: Record<string, unknown>;
}

export interface JobEventView {
  /** `epoch-seq`, a place in the log of the job's owner; what `Last-Event-ID` takes where that is the node that is asked. */
  id: string;
  job_id: string;
  /** Only of a job of another node. */
  owner?: string;
  type: JobStatus | 'removed';
  attempt: number;
  at: string;
  reason?: string;
  message?: string;
  exit_code?: number;
}

export interface CreateParams {
  image: string;
  arguments?: string[];
  env?: Record<string, string>;
  resources?: { cpu?: number | string; memory?: number | string; pids?: number };
  name?: string;
  entrypoint?: string[];
  labels?: Record<string, string>;
  ports?: { container: number; host?: number; protocol?: 'tcp' | 'udp'; address?: string }[];
  working_dir?: string;
  user?: string;
  drop_capabilities?: boolean;
  read_only?: boolean;
  network?: string;
  restart?: { policy?: 'no' | 'on-failure' | 'always'; max_attempts?: number };
  stop_signal?: string;
  stop_timeout?: string | number;
  healthcheck?: {
    test?: string[];
    tcp?: number;
    interval?: string | number;
    timeout?: string | number;
    start_period?: string | number;
    retries?: number;
  };
  pull?: 'missing' | 'always' | 'never';
  retry?: { attempts?: number; backoff?: string | number };
  timeouts?: {
    queue?: string | number;
    pull?: string | number;
    start?: string | number;
    run?: string | number;
  };
  priority?: number;
  idempotency_key?: string;
  ttl_after_finished?: string | number;
  wait_ms?: number;
  /** `local`, `any`, `every` or the id of a node. */
  placement?: string;
}

export interface CreateResult {
  job_id: string;
  message: 'Job created successfully';
  /** Only with `idempotency_key`, and only when the job was there already. */
  deduplicated?: true;
  /** Only with `wait_ms`: how far it came. */
  status?: JobStatus;
  /** Only with `placement` or `idempotency_key`: the node that has the job. */
  owner?: string;
}

export interface StatsView {
  job_id: string;
  name?: string;
  cpus: number;
  memory_bytes: number;
  memory_limit_bytes: number;
  network_received_bytes: number;
  network_sent_bytes: number;
  block_read_bytes: number;
  block_written_bytes: number;
  pids: number;
}

export interface LogEntry {
  stream: 'stdout' | 'stderr';
  line: string;
}

export interface QueueStatsView {
  queue_size: number;
  waiting: number;
  delayed: number;
  working: number;
  worker_count: number;
  running: number;
  paused: boolean;
  draining: boolean;
}

export interface HealthView {
  status: 'ok' | 'degraded';
  ready: boolean;
  version: string;
  node: string;
  uptime_ms: number;
  parts: Record<string, { status: 'ok' | 'down'; message?: string }>;
}

/** How another node stands, as this one sees it. */
export interface PeerView {
  node_id: string;
  /** The name of its host, as the peer tells it. */
  name?: string;
  /**
   * `connected`; `heard` through others only; `lost`: not heard for 20 s; `never` heard since this node knows of it.
   */
  status: 'connected' | 'heard' | 'lost' | 'never';
  addresses: string[];
  /** Who made the connection: it (`inbound`) or this node (`outbound`). */
  direction?: 'inbound' | 'outbound';
  connected_since?: string;
  heard_age_ms?: number;
  rtt_ms?: number;
  /** How many of its jobs are known here. */
  jobs: number;
  version?: string;
  draining?: boolean;
}

/** Who this node is to its peers. */
export interface IdentityView {
  node_id: string;
  cluster_id: string;
  name: string;
  /** Where its peers reach it; empty when it takes no part in a cluster. */
  addresses: string[];
}

export interface NodeInfoView {
  node_id: string;
  cluster_id: string;
  name: string;
  version: string;
  uptime_ms: number;
  /** Whether it accepts nothing new. */
  draining: boolean;
  waiting: number;
  working: number;
  running: number;
}

/** What makes a controller; what is left out has the default that the field reference names. */
export interface ControllerDraftParams {
  id: string;
  name?: string;
  version: string;
  image: string;
  description?: string;
  library_path?: string;
  proc_name?: string;
  ports?: { internal?: number; external?: number };
  env?: Record<string, string>;
  resources?: { cpu?: number | string; memory?: number | string; pids?: number };
  sharing?: 'exclusive' | 'shared';
  max_connections?: number;
  max_instances?: number;
  start_timeout?: string | number;
  idle_timeout?: string | number;
  warm?: number;
  probe?: { tcp: number };
  allow_path?: boolean;
}

type ChangedFields = Partial<Omit<ControllerDraftParams, 'id'>>;
/** `null` takes an optional field away. */
export type ControllerChangesParams = { [Field in keyof ChangedFields]: ChangedFields[Field] | null };

/** A controller of the catalog: durations in ms, memory in bytes; values of `env` are replaced by `***`. */
export interface ControllerView {
  id: string;
  name: string;
  version: string;
  image: string;
  description: string;
  library_path: string;
  proc_name: string;
  ports: { internal: number; external: number };
  env?: Record<string, string>;
  resources?: { cpu?: number; memory?: number; pids?: number };
  sharing: 'exclusive' | 'shared';
  max_connections?: number;
  max_instances?: number;
  start_timeout?: number;
  idle_timeout?: number;
  warm: number;
  probe: { tcp: number };
  allow_path: boolean;
  /** Connections are led to valid controllers only. */
  is_valid: boolean;
  /** What the last validation found, for people. */
  validate_info?: string;
  source: 'manual' | 'discovered';
  /** The image it is pinned to. */
  digest?: string;
  /** What its library is, such as `ELF 64-bit amd64`. */
  format?: string;
  validated_at?: string;
  created_at?: string;
  updated_at?: string;
}

/** Why the database file does not count as it is; what it held before does. */
export interface CatalogProblemView {
  message: string;
  line?: number;
  column?: number;
}

export interface ControllerListView {
  /** In the order of the database file. */
  controllers: ControllerView[];
  problem?: CatalogProblemView;
  /** What stands in the file and does not count, for people. */
  warnings?: string[];
}

/** What a look at the images changed. Controllers are named `id@version`. */
export interface DiscoveryView {
  at: string;
  added: string[];
  updated: string[];
  unchanged: string[];
  removed: string[];
  skipped: { image: string; reason: string }[];
}

/** What a controller did when it was started once. Times in ms. */
export interface LiveTestView {
  id: string;
  version: string;
  image: string;
  /** Of the image that was started. */
  digest: string;
  passed: boolean;
  /** In one sentence. */
  info: string;
  start_ms?: number;
  answer_ms?: number;
  /** What its procedure said: negative is an error, positive a warning. */
  fail?: number;
  message?: string;
}

/** What a connection would be led to, or why it would be refused. */
export interface ResolutionView {
  resolved: boolean;
  id?: string;
  version?: string;
  image?: string;
  library_path?: string;
  proc_name?: string;
  /** The path named no controller, and the controller does not let it replace its own. */
  path_ignored?: true;
  reason?: string;
  message?: string;
}

/** One client that is led to a container. */
export interface SessionView {
  session_id: string;
  /** Address of the client. */
  client: string;
  /** `id@version`; left out where the client asked for a job. */
  controller?: string;
  job_id: string;
  opened_at: string;
  received_bytes: number;
  sent_bytes: number;
}

/** Every method with its parameters (by name; `[params]` is taken too) and result. */
export interface RpcMethods {
  'ContainerService.Create': { params: CreateParams; result: CreateResult };
  'ContainerService.Status': { params: { job_id: string }; result: { job_id: string; status: JobStatus } };
  /** Ends a running job. Answers when the stop is durable; `wait_ms` waits for its end. */
  'ContainerService.Stop': {
    params: { job_id: string; timeout?: string | number; wait_ms?: number };
    result: JobView;
  };
  /** Removes an ended job and its container. */
  'ContainerService.Remove': {
    params: { job_id: string; force?: boolean };
    result: { job_id: string; removed: true };
  };
  'ContainerService.Logs': {
    params: { job_id: string; tail?: number; since?: string; timestamps?: boolean };
    /** At most 1,000 lines and 512 KiB, the newest; `truncated` when there was more. */
    result: { job_id: string; entries: LogEntry[]; truncated: boolean };
  };
  /** One sample per running job, or of one job. */
  'ContainerService.Stats': { params: { job_id?: string }; result: { stats: StatsView[] } };
  'JobService.List': {
    params: {
      states?: JobStatus[];
      id_prefix?: string;
      name?: string;
      all_nodes?: boolean;
      owner?: string;
      limit?: number;
      cursor?: string;
    };
    /** Newest first. */
    result: { jobs: JobView[]; next_cursor?: string };
  };
  'JobService.Get': { params: { job_id: string }; result: JobDetailView };
  /** Answers when the job has ended (or is `running`, with `until: "running"`); fails with timeout otherwise. */
  'JobService.Wait': {
    params: { job_id: string; until?: 'running' | 'ended'; timeout_ms?: number };
    result: JobView;
  };
  'JobService.Cancel': { params: { job_id: string }; result: JobView };
  'JobService.History': { params: { job_id: string }; result: { job_id: string; events: JobEventView[] } };
  'QueueService.Stats': { params: Record<string, never>; result: QueueStatsView };
  'QueueService.Pause': { params: Record<string, never>; result: QueueStatsView };
  'QueueService.Resume': { params: Record<string, never>; result: QueueStatsView };
  'SystemService.Version': {
    params: Record<string, never>;
    result: { version: string; node_version: string; engine?: string; engine_api_version?: string };
  };
  'SystemService.Health': { params: Record<string, never>; result: HealthView };
  'rpc.discover': { params: Record<string, never>; result: Record<string, unknown> };
  /** Every node that is known, connected or not; not this one. */
  'PeerService.List': { params: Record<string, never>; result: { peers: PeerView[] } };
  'PeerService.Ping': {
    params: { node_id: string; timeout_ms?: number };
    result: { node_id: string; rtt_ms: number };
  };
  'PeerService.Identity': { params: Record<string, never>; result: IdentityView };
  'PeerService.Allow': { params: { node_id: string }; result: { node_id: string; allowed: true } };
  'PeerService.Deny': { params: { node_id: string }; result: { node_id: string; allowed: false } };
  'PeerService.Forget': {
    params: { node_id: string };
    /** Whether it was known at all. */
    result: { node_id: string; forgotten: boolean };
  };
  'ControllerService.List': { params: Record<string, never>; result: ControllerListView };
  /** Without a version: the highest. */
  'ControllerService.Get': { params: { id: string; version?: string }; result: ControllerView };
  'ControllerService.Register': { params: ControllerDraftParams; result: ControllerView };
  'ControllerService.Update': {
    params: { id: string; version?: string; changes: ControllerChangesParams };
    result: ControllerView;
  };
  'ControllerService.Remove': {
    params: { id: string; version?: string };
    result: { id: string; removed: true };
  };
  'ControllerService.Discover': { params: Record<string, never>; result: DiscoveryView };
  'ControllerService.Validate': { params: { id: string; version?: string }; result: ControllerView };
  'ControllerService.Test': { params: { id: string; version?: string }; result: LiveTestView };
  'ControllerService.Resolve': {
    params: { controller?: string; version?: string; path?: string; proc?: string };
    result: ResolutionView;
  };
  /** The oldest first. */
  'SessionService.List': { params: Record<string, never>; result: { sessions: SessionView[] } };
  'SessionService.Close': { params: { session_id: string }; result: { session_id: string; closed: true } };
  'NodeService.Info': { params: Record<string, never>; result: NodeInfoView };
  'NodeService.Drain': { params: Record<string, never>; result: NodeInfoView };
  'NodeService.Undrain': { params: Record<string, never>; result: NodeInfoView };
}

export type RpcMethodName = keyof RpcMethods;

/** `error.data` of every JSON-RPC error. */
export interface RpcErrorData {
  reason: string;
  retryable: boolean;
  retry_after_ms?: number;
  details: Record<string, unknown>;
}

/** Our own codes beside the standard five of JSON-RPC 2.0. */
export const RPC_ERROR_CODES = {
  parse_error: -32700,
  invalid_request: -32600,
  method_not_found: -32601,
  invalid_params: -32602,
  internal_error: -32603,
  not_found: -32001,
  invalid_state: -32002,
  unauthenticated: -32003,
  forbidden: -32004,
  policy_denied: -32005,
  timeout: -32006,
  cancelled: -32007,
  idempotency_conflict: -32009,
  queue_full: -32010,
  image_error: -32012,
  draining: -32015,
  peer_unreachable: -32016,
} as const;
export type RpcReason = keyof typeof RPC_ERROR_CODES;

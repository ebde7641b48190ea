import type { InstanceId } from '../kernel/ids.ts';

/**
 * What the node needs of an engine that runs instances. One adapter per kind of engine implements it; all of them,
 * and the fake in the tests, pass the suite in `test/conformance/`.
 *
 * Every call fails with a `RuntimeError` (or, once the caller's signal is aborted, with that signal's reason), settles
 * within the driver's own time limit, and may be repeated. A stream whose signal is aborted ends.
 */
export interface RuntimeDriver extends AsyncDisposable {
  /** Which engine answers, and how it is limited. Fails with `engine_unavailable` when none does. */
  info(signal?: AbortSignal): Promise<EngineInfo>;
  /** The local image a reference stands for, or `undefined` when it is not there. */
  findImage(reference: string, signal?: AbortSignal): Promise<ImageInfo | undefined>;
  /**
   * Fetches an image. Pulls of one reference are shared; the transfer is aborted when the last caller's signal is.
   * Fails with `image_not_found`, `image_unauthorized`, `image_error`, or `timeout` when nothing arrives for the
   * driver's inactivity limit.
   */
  pullImage(reference: string, options: PullOptions): Promise<ImageInfo>;
  /** Makes a container and does not start it. `name_conflict` when the name is taken: inspect it and decide. */
  create(plan: InstancePlan): Promise<InstanceId>;
  /** Starts it; a started one is left as it is. */
  start(id: InstanceId): Promise<void>;
  /** Sends the stop signal and, after the grace period, SIGKILL. A stopped one is left as it is. */
  stop(id: InstanceId, options: StopOptions): Promise<void>;
  /** Removes it with its anonymous volumes, running or not. One that is gone is fine. */
  remove(id: InstanceId): Promise<void>;
  /** By id or by name; `undefined` when there is none. */
  inspect(idOrName: string, signal?: AbortSignal): Promise<InstanceView | undefined>;
  /** Those that carry all the labels given, running or not. */
  list(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<InstanceSummary[]>;
  /**
   * What happens to instances with these labels, from `sinceMs` (wall clock) on. A hint: events can be lost and
   * repeated. The iteration ends or fails when the engine goes; the caller subscribes again.
   */
  events(options: EventsOptions): AsyncIterable<RuntimeEvent>;
  /** What it wrote, the two streams kept apart. With `follow`, ends when the instance does. */
  logs(id: InstanceId, options: LogsOptions): AsyncIterable<LogChunk>;
  /** One sample of what it uses; `undefined` when it is not running. */
  stats(id: InstanceId, signal?: AbortSignal): Promise<InstanceStats | undefined>;
}

export interface EngineInfo {
  /** For people: `Docker Engine 29.3.1`. */
  readonly name: string;
  readonly version: string;
  readonly apiVersion: string;
  readonly architecture: string;
}

export interface ImageInfo {
  readonly id: string;
  /** `name@sha256:…` as the registry gave it; undefined for an image made here. */
  readonly digest: string | undefined;
  readonly sizeBytes: number;
}

export interface PullOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** Sums over all layers; `totalBytes` grows while layers are still being announced. */
export interface PullProgress {
  readonly layersDone: number;
  readonly layersTotal: number;
  readonly downloadedBytes: number;
  readonly totalBytes: number;
}

/**
 * Everything a driver may set on an instance. There is no field for what a job may not ask for: host namespaces,
 * devices, capabilities, mounts and security options cannot be expressed.
 */
export interface InstancePlan {
  readonly name: string;
  readonly image: string;
  /** Undefined keeps the image's own. */
  readonly entrypoint: readonly string[] | undefined;
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly workingDir: string | undefined;
  readonly user: string | undefined;
  /** Name of a network that the driver makes when it is absent, or `none`. */
  readonly network: string;
  readonly ports: readonly PortPlan[];
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly stopSignal: string | undefined;
  readonly healthcheck: HealthcheckPlan | undefined;
}

export interface PortPlan {
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp';
  /** 0: one that is free. */
  readonly hostPort: number;
  readonly hostAddress: string;
}

export interface HealthcheckPlan {
  /** A command and its arguments, run without a shell. */
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly retries: number;
}

export interface StopOptions {
  readonly graceMs: number;
}

export interface EventsOptions {
  readonly labels: Readonly<Record<string, string>>;
  readonly sinceMs?: number;
  readonly signal: AbortSignal;
  /** Called once the engine has accepted the subscription: what happens from now on is in the stream. */
  readonly onSubscribed?: () => void;
}

export interface RuntimeEvent {
  readonly type: 'created' | 'started' | 'exited' | 'removed' | 'paused' | 'unpaused' | 'health';
  readonly id: InstanceId;
  readonly labels: Readonly<Record<string, string>>;
  /** The engine's wall clock. */
  readonly atMs: number;
}

export type InstanceState = 'created' | 'running' | 'paused' | 'exited';

export interface InstanceSummary {
  readonly id: InstanceId;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: InstanceState;
  readonly createdAtMs: number;
}

export interface InstanceView extends InstanceSummary {
  readonly imageId: string;
  /** Undefined while it was never started. */
  readonly startedAtMs: number | undefined;
  /** Set once it has ended. */
  readonly exit: InstanceExit | undefined;
  /** `none` where no healthcheck is declared. */
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  /** Its address on its network, where it has one. */
  readonly address: string | undefined;
  readonly ports: readonly PortPlan[];
}

export interface InstanceExit {
  readonly exitCode: number;
  /** The signal it died of, when the exit code says so (128 + n). */
  readonly signal: string | undefined;
  readonly oomKilled: boolean;
  readonly finishedAtMs: number;
  /** What the engine says went wrong, where it says so. */
  readonly message: string | undefined;
}

export interface LogsOptions {
  readonly follow?: boolean;
  /** Wall clock. */
  readonly sinceMs?: number;
  /** Only so many lines from the end. */
  readonly tail?: number;
  /** Begin every line with its RFC 3339 time. */
  readonly timestamps?: boolean;
  readonly signal?: AbortSignal;
}

export interface LogChunk {
  readonly stream: 'stdout' | 'stderr';
  /** As the engine framed it; not necessarily whole lines. */
  readonly data: Buffer;
}

export interface InstanceStats {
  /** Cores in use since the sample before: 1.0 is one core busy all the time. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly networkReceivedBytes: number;
  readonly networkSentBytes: number;
  readonly blockReadBytes: number;
  readonly blockWrittenBytes: number;
  readonly pids: number;
}

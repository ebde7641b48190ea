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
  /** The local images that carry all the labels given. */
  listImages(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<ImageSummary[]>;
  /**
   * That images came, went, or were given or lost a name, from the subscription on. A hint, under the rules of `events`:
   * whoever needs to know looks at the images anew.
   */
  imageEvents(options: ImageEventsOptions): AsyncIterable<ImageEvent>;
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
  /** Holds its processes still; they keep their memory. A paused one is left as it is; `not_running` for one that has ended. */
  pause(id: InstanceId): Promise<void>;
  /** Lets them go on. A running one is left as it is; `not_running` for one that has ended. */
  unpause(id: InstanceId): Promise<void>;
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
  /**
   * A regular file of its file system, running or not. Symbolic links are followed within that file system; a relative
   * path begins at its root. Holds `maxBytes` in memory at most.
   */
  readFile(id: InstanceId, path: string, options: ReadFileOptions): Promise<InstanceFile>;
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
  readonly labels: Readonly<Record<string, string>>;
  /** As `EngineInfo` names them: `amd64`. */
  readonly architecture: string;
  /** The directory that its programs begin in; `/` where it does not say. */
  readonly workingDir: string;
}

export interface ImageSummary {
  /** The digest of its configuration: `sha256:…`. */
  readonly id: string;
  /** The names it has here: `app:1.2`. None where another image has taken its last one. */
  readonly tags: readonly string[];
  /** `name@sha256:…` for each repository it came from. */
  readonly digests: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly architecture: string;
  readonly createdAtMs: number;
}

export interface ImageEventsOptions {
  readonly signal: AbortSignal;
  /** Called once the engine has accepted the subscription. */
  readonly onSubscribed?: () => void;
}

export interface ImageEvent {
  readonly type: 'added' | 'removed' | 'tagged' | 'untagged';
  /** What the engine calls it: an id or a reference. */
  readonly image: string;
  /** The engine's wall clock. */
  readonly atMs: number;
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
  /** Those that an engine gives root by default, as far as jobs may have them at all; otherwise none. */
  readonly hasCapabilities: boolean;
  /**
   * Whether it may write its files. Else only a `/tmp` in memory, and these directories, each a copy of the image's that goes with
   * the container.
   */
  readonly files: 'writable' | { readonly writable: readonly string[] };
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

export interface ReadFileOptions {
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export type InstanceFile =
  | { readonly kind: 'file'; readonly data: Buffer }
  /** There is nothing of that name; links that lead nowhere or in a circle included. */
  | { readonly kind: 'missing' }
  /** A directory, a device, a socket or the like. */
  | { readonly kind: 'not_a_file' }
  | { readonly kind: 'too_large'; readonly bytes: number };

import type { InstanceId, JobId } from '../kernel/ids.ts';
import type { InstanceKind } from './instance-job.ts';
import type { LeaseId, Upstream } from './instances.ts';
import type { Sharing } from './template.ts';

/** How far an instance has come. It moves forward only. */
export const INSTANCE_STATES = {
  starting: 'its job was asked for and does not run yet',
  ready: 'it accepts connections',
  ending: 'its job is being ended and removed',
} as const;
export type InstanceState = keyof typeof INSTANCE_STATES;

/** What holds containers still, and lets them go on. */
export interface PausingEngine {
  pause(id: InstanceId): Promise<void>;
  unpause(id: InstanceId): Promise<void>;
}

/** One instance in the pool, and who uses it. */
export class PooledInstance {
  readonly kind: InstanceKind;
  readonly sharing: Sharing;
  readonly leases = new Set<LeaseId>();
  /** Ends what is under way for it. */
  readonly abort = new AbortController();
  /** Resolves once it accepts connections. */
  readonly ready: Promise<Upstream>;
  job: JobId | undefined;
  /** Its container, once that runs. */
  container: InstanceId | undefined;
  /** Kept for whoever comes next, and paused once it is ready. */
  isWarm: boolean;
  /** It was made before anybody asked for it. */
  readonly wasKeptWarm: boolean;
  /** Ends it when it was without a lease for long. */
  idleTimer: Disposable | undefined;
  #state: InstanceState;
  #isPaused = false;
  /** What the engine is asked for, one thing after the other. */
  #lastCall: Promise<void> = Promise.resolve();

  constructor(options: {
    readonly kind: InstanceKind;
    readonly sharing: Sharing;
    readonly isWarm?: boolean;
    /** How it is made; or what it is, of one that was running when the node started. */
    readonly origin:
      | ((instance: PooledInstance) => Promise<Upstream>)
      | { readonly job: JobId; readonly upstream: Upstream };
  }) {
    const { kind, sharing, isWarm = false, origin } = options;
    const isNew = typeof origin === 'function';
    this.kind = kind;
    this.sharing = sharing;
    this.isWarm = isWarm;
    this.wasKeptWarm = isWarm;
    this.job = isNew ? undefined : origin.job;
    this.#state = isNew ? 'starting' : 'ready';
    this.ready = isNew ? origin(this) : Promise.resolve(origin.upstream);
    // Whoever waits for it hears of it; perhaps nobody does.
    this.ready.catch(() => undefined);
  }

  get state(): InstanceState {
    return this.#state;
  }

  becomeReady(): void {
    if (this.#state === 'starting') this.#state = 'ready';
  }

  /** Holds it still, unless somebody has come for it meanwhile. */
  pause(engine: PausingEngine): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.isWarm || this.#state !== 'ready' || this.container === undefined) return;
      await engine.pause(this.container);
      this.#isPaused = true;
    });
  }

  /** Resolves when it is not held still any more. */
  awake(engine: PausingEngine): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isPaused || this.container === undefined) return;
      await engine.unpause(this.container);
      this.#isPaused = false;
    });
  }

  /** False when it is so already. */
  beginEnding(): boolean {
    if (this.#state === 'ending') return false;
    this.#state = 'ending';
    this.stopIdling();
    return true;
  }

  stopIdling(): void {
    this.idleTimer?.[Symbol.dispose]();
    this.idleTimer = undefined;
  }

  hasRoom(maxConnections: number): boolean {
    const isOpen = this.sharing === 'shared' && this.#state !== 'ending' && !this.isWarm;
    return isOpen && this.leases.size < maxConnections;
  }

  #inTurn(call: () => Promise<void>): Promise<void> {
    const called = this.#lastCall.then(call);
    this.#lastCall = called.catch(() => undefined);
    return called;
  }
}

import type { JobId } from '../kernel/ids.ts';
import type { LeaseId, Upstream } from './instances.ts';
import type { Sharing } from './template.ts';

/** How far an instance has come. It moves forward only. */
export const INSTANCE_STATES = {
  starting: 'its job was asked for and does not run yet',
  ready: 'it accepts connections',
  ending: 'its job is being ended and removed',
} as const;
export type InstanceState = keyof typeof INSTANCE_STATES;

/** One instance in the pool, and who uses it. */
export class PooledInstance {
  readonly kind: string;
  readonly sharing: Sharing;
  readonly leases = new Set<LeaseId>();
  /** Ends what is under way for it. */
  readonly abort = new AbortController();
  /** Resolves once it accepts connections. */
  readonly ready: Promise<Upstream>;
  job: JobId | undefined;
  /** Ends it when it was without a lease for long. */
  idleTimer: Disposable | undefined;
  #state: InstanceState;

  constructor(options: {
    readonly kind: string;
    readonly sharing: Sharing;
    /** Of one that was running when the node started. */
    readonly adopted?: { readonly job: JobId; readonly upstream: Upstream };
    readonly start: (instance: PooledInstance) => Promise<Upstream>;
  }) {
    const { kind, sharing, adopted, start } = options;
    this.kind = kind;
    this.sharing = sharing;
    this.job = adopted?.job;
    this.#state = adopted === undefined ? 'starting' : 'ready';
    this.ready = adopted === undefined ? start(this) : Promise.resolve(adopted.upstream);
    // Whoever waits for it hears of it; perhaps nobody does.
    this.ready.catch(() => undefined);
  }

  get state(): InstanceState {
    return this.#state;
  }

  becomeReady(): void {
    if (this.#state === 'starting') this.#state = 'ready';
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
    return this.sharing === 'shared' && this.#state !== 'ending' && this.leases.size < maxConnections;
  }
}

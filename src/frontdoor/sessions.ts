import { randomUUID } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import type { LeaseId } from '../instances/instances.ts';
import type { Channel } from './opening.ts';
import { endSplice } from './splice.ts';
import { StallWatch } from './stalls.ts';

/** One client that was led to a container, as people see it. */
export interface SessionView {
  readonly id: string;
  /** Address of the client. */
  readonly client: string;
  /** `id@version` of the catalog's entry; undefined where the client asked for a job. */
  readonly controller: string | undefined;
  readonly job: JobId;
  readonly openedAtMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface NewSession {
  /** To the client. */
  readonly channel: Channel;
  readonly upstream: Channel;
  readonly client: string;
  readonly controller: string | undefined;
  readonly job: JobId;
  /** Undefined where the instance does not depend on the session. */
  readonly lease: LeaseId | undefined;
}

export interface Session extends NewSession {
  readonly id: string;
  readonly openedAtMs: number;
}

export interface SessionsOptions {
  /** One on which nothing passes for so long is ended, ms; 0: none ever is. */
  readonly maxSilenceMs: number;
  /** One is given up of which a side takes nothing of what waits for it for so long, ms; 0: none ever is. */
  readonly stallTimeoutMs: number;
}

export interface SessionsDependencies {
  readonly clock: Clock;
  readonly logger: { info(facts: object, message: string): void; warn(facts: object, message: string): void };
}

/** How often it is looked for silent ones, of the time that they may be silent. */
const LOOKS = 4;

/** The connections that are open: each from its 101 until both of its sides are closed. */
export class Sessions implements Disposable {
  readonly #options: SessionsOptions;
  readonly #deps: SessionsDependencies;
  readonly #stalls: StallWatch;
  readonly #open = new Map<string, Session>();
  /** What had passed, both ways, when it was looked at, and since when no more has, monotonic ms. */
  readonly #seen = new Map<string, { readonly bytes: number; readonly sinceMs: number }>();
  #nextLook: Disposable | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: SessionsOptions, deps: SessionsDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#stalls = new StallWatch(
      { limitMs: options.stallTimeoutMs },
      { ...deps, sides: () => this.#sides(), onStalled: (side) => this.#giveUp(side) },
    );
    if (options.maxSilenceMs > 0) this.#lookLater();
  }

  get size(): number {
    return this.#open.size;
  }

  /** To be removed when both sides are closed. */
  add(session: NewSession): Session {
    const added = { ...session, id: randomUUID(), openedAtMs: this.#deps.clock.wallMs() };
    this.#open.set(added.id, added);
    return added;
  }

  remove({ id }: Session): void {
    this.#open.delete(id);
    this.#seen.delete(id);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** The oldest first. */
  list(): SessionView[] {
    return [...this.#open.values()].map(({ id, client, controller, job, openedAtMs, channel }) => ({
      id,
      client,
      controller,
      job,
      openedAtMs,
      receivedBytes: channel.bytesRead,
      sentBytes: channel.bytesWritten,
    }));
  }

  /** Ends a session; both sides are told. False when there is none of this id. */
  close(id: string): boolean {
    const session = this.#open.get(id);
    if (session === undefined) return false;
    session.channel.destroySoon();
    session.upstream.destroySoon();
    // A side that does not read would keep what was written, and never close.
    endSplice(session.channel);
    return true;
  }

  /** Ends the session whose instance is gone. */
  closeLease(lease: LeaseId): void {
    for (const session of this.#open.values()) if (session.lease === lease) this.close(session.id);
  }

  closeAll(): void {
    for (const id of [...this.#open.keys()]) this.close(id);
  }

  [Symbol.dispose](): void {
    this.#nextLook?.[Symbol.dispose]();
    this.#stalls[Symbol.dispose]();
    this.closeAll();
  }

  /** Resolves when the last one has ended. */
  async whenEmpty(): Promise<void> {
    if (this.#open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    await promise;
  }

  #lookLater(): void {
    const { maxSilenceMs } = this.#options;
    this.#nextLook = this.#deps.clock.after(maxSilenceMs / LOOKS, () => {
      this.#lookLater();
      for (const session of this.#open.values()) this.#lookAt(session);
    });
  }

  #lookAt({ id, channel }: Session): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const bytes = channel.bytesRead + channel.bytesWritten;
    const before = this.#seen.get(id);
    if (before?.bytes !== bytes) this.#seen.set(id, { bytes, sinceMs: nowMs });
    else if (nowMs - before.sinceMs >= this.#options.maxSilenceMs) this.close(id);
  }

  *#sides(): Generator<Channel> {
    for (const { channel, upstream } of this.#open.values()) yield* [channel, upstream];
  }

  #giveUp(side: Channel): void {
    for (const { id, client, job, channel, upstream } of this.#open.values()) {
      if (side !== channel && side !== upstream) continue;
      const stuck = side === channel ? 'client' : 'container';
      const message = 'session given up: nothing of what waits is taken';
      this.#deps.logger.info({ session: id, client, job, stuck }, message);
    }
    // The other side gets what is on its way to it; this one would take nothing.
    side.destroy();
  }
}

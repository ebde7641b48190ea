import { randomUUID } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import type { LeaseId } from '../instances/instances.ts';
import type { Channel } from './opening.ts';
import { endSplice } from './splice.ts';
import { Stalls } from './stalls.ts';

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
/** And for those that take nothing: what has gone silently is to be gone soon. */
const STALL_LOOKS = 10;

/** The connections that are open: each from its 101 until both of its sides are closed. */
export class Sessions implements Disposable {
  readonly #options: SessionsOptions;
  readonly #deps: SessionsDependencies;
  readonly #stalls: Stalls;
  readonly #open = new Map<string, Session>();
  /** What had passed, both ways, when it was looked at, and since when no more has, monotonic ms. */
  readonly #seen = new Map<string, { readonly bytes: number; readonly sinceMs: number }>();
  #nextLook: Disposable | undefined;
  #nextStallLook: Disposable | undefined;
  #isDisposed = false;
  /** It could not be found out what waits, and somebody was told. */
  #isBlind = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: SessionsOptions, deps: SessionsDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#stalls = new Stalls({ limitMs: options.stallTimeoutMs });
    if (options.maxSilenceMs > 0) this.#lookLater();
    if (options.stallTimeoutMs > 0) this.#lookForStallsLater();
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
    this.#isDisposed = true;
    this.#nextLook?.[Symbol.dispose]();
    this.#nextStallLook?.[Symbol.dispose]();
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

  #lookForStallsLater(): void {
    if (this.#isDisposed) return;
    const { stallTimeoutMs } = this.#options;
    this.#nextStallLook = this.#deps.clock.after(stallTimeoutMs / STALL_LOOKS, () => {
      void this.#endStalled().then(() => this.#lookForStallsLater());
    });
  }

  async #endStalled(): Promise<void> {
    const { clock, logger } = this.#deps;
    const sessions = [...this.#open.values()];
    const sides = sessions.flatMap(({ channel, upstream }) => [channel, upstream]);
    try {
      const stalled = new Set(await this.#stalls.find(sides, clock.monotonicMs()));
      for (const { id, client, job, channel, upstream } of sessions) {
        const side = [channel, upstream].find((each) => stalled.has(each));
        if (side === undefined) continue;
        const stuck = side === channel ? 'client' : 'container';
        logger.info({ session: id, client, job, stuck }, 'session given up: nothing of what waits is taken');
        // The other side gets what is on its way to it; this one would take nothing.
        side.destroy();
      }
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) logger.warn({ err: error }, 'it cannot be seen which sessions are stuck');
      this.#isBlind = true;
    }
  }
}

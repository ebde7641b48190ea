import { multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { publicKeyOf } from '../identity.ts';
import type { PeerStream, StreamProtocol } from '../network.ts';
import { MAX_ADDRESS_LENGTH, MAX_BOOK_ADDRESSES } from '../peer-book.ts';
import type { StreamHandler } from './streams.ts';

/** One frame with the peers that are connected, in answer to nothing but the stream. */
export const INTRODUCTIONS_PROTOCOL: StreamProtocol = {
  id: '/container-manager/peers/1.0.0',
  maxFrameBytes: 512 * 1024,
  maxInboundStreams: 2,
  maxInboundPerSecond: 1,
};

/** Peers in one answer: more than may be connected. */
const MAX_INTRODUCED = 128;
const ANSWER_LIMIT_MS = 5_000;
/** How often somebody is asked, beside everybody at the moment it connects. */
const ASK_INTERVAL_MS = 30_000;

/** A peer, and where it may be found: multiaddrs without its id. */
export interface Introduced {
  readonly peer: NodeId;
  readonly addresses: readonly string[];
}

export interface IntroductionsDependencies {
  readonly clock: Clock;
  readonly connected: () => readonly NodeId[];
  /** Those that are connected, with where they may be found. */
  readonly known: () => readonly Introduced[];
  readonly open: (peer: NodeId, protocol: StreamProtocol, signal: AbortSignal) => Promise<PeerStream>;
  readonly handle: (protocol: StreamProtocol, handler: StreamHandler) => void;
  /** Told of each peer that somebody knows. It is hearsay: who is found there has to prove the rest. */
  readonly onIntroduced: (introduced: Introduced) => void;
}

/**
 * Whoever joins knows one member, and learns of the others from it. Of two that join at the same moment at least one learns of the
 * other: each asks after it was admitted, so that the later answer holds both.
 */
export class Introductions implements Disposable {
  readonly #deps: IntroductionsDependencies;
  readonly #stop = new AbortController();
  #nextAsk: Disposable;

  constructor(deps: IntroductionsDependencies) {
    this.#deps = deps;
    deps.handle(INTRODUCTIONS_PROTOCOL, async (stream, from) => {
      await stream.write(encodeIntroductions(deps.known().filter(({ peer }) => peer !== from)));
    });
    this.#nextAsk = this.#scheduleAsk();
  }

  [Symbol.dispose](): void {
    this.#nextAsk[Symbol.dispose]();
    this.#stop.abort();
  }

  /** Asks a peer whom it knows. That it does not answer is no matter: others will be asked. */
  ask(peer: NodeId): void {
    this.#introducedBy(peer).then(
      (introduced) => introduced.forEach((one) => this.#deps.onIntroduced(one)),
      () => undefined,
    );
  }

  #scheduleAsk(): Disposable {
    return this.#deps.clock.after(ASK_INTERVAL_MS, () => {
      this.#nextAsk = this.#scheduleAsk();
      const peers = this.#deps.connected();
      const peer = peers[Math.floor(Math.random() * peers.length)];
      if (peer !== undefined) this.ask(peer);
    });
  }

  async #introducedBy(peer: NodeId): Promise<Introduced[]> {
    using limited = new LinkedSignal([this.#stop.signal], {
      clock: this.#deps.clock,
      limitMs: ANSWER_LIMIT_MS,
    });
    const stream = await this.#deps.open(peer, INTRODUCTIONS_PROTOCOL, limited.signal);
    try {
      const frame = await abortable(stream.read(), limited.signal);
      stream.end().catch(() => undefined);
      return frame === undefined ? [] : decodeIntroductions(frame);
    } catch (error) {
      stream.abort(error as Error);
      throw error;
    }
  }
}

/** Beyond `MAX_INTRODUCED` nobody is told of. */
export function encodeIntroductions(introduced: readonly Introduced[]): Uint8Array {
  const peers = introduced.slice(0, MAX_INTRODUCED).map(({ peer, addresses }) => ({ peer, addresses }));
  return Buffer.from(JSON.stringify({ peers }));
}

/** What cannot be used is left out. Fails for what is no answer at all. */
export function decodeIntroductions(frame: Uint8Array): Introduced[] {
  const { peers } = JSON.parse(Buffer.from(frame).toString()) as { peers?: unknown };
  if (!Array.isArray(peers)) throw new Error('an answer without peers');
  return peers.slice(0, MAX_INTRODUCED).flatMap((value: unknown) => {
    const { peer, addresses } = (value ?? {}) as Record<string, unknown>;
    if (typeof peer !== 'string' || publicKeyOf(peer) === undefined || !Array.isArray(addresses)) return [];
    const usable = addresses.slice(0, MAX_BOOK_ADDRESSES).filter(isTcpAddress);
    return usable.length === 0 ? [] : [{ peer: peer as NodeId, addresses: usable }];
  });
}

function isTcpAddress(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_ADDRESS_LENGTH) return false;
  try {
    const names = multiaddr(value)
      .getComponents()
      .map(({ name }) => name);
    return names.length === 2 && /^(?:ip[46]|dns[46]?)$/.test(names[0] ?? '') && names[1] === 'tcp';
  } catch {
    return false;
  }
}

import { CatalogError } from '../catalog/errors.ts';
import type { ControllerQuery, Resolution } from '../catalog/selection.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import { isJobId, type JobId, type NodeId } from '../kernel/ids.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { abortable } from '../kernel/single-flight.ts';
import type { Elsewhere } from './front-door.ts';
import type { Opened, Wish } from './opening.ts';
import { Refused } from './refused.ts';
import { TunnelChannel } from './tunnel-channel.ts';
import { decodeTunnelReply, encodeTunnel, openRequestOf, type TunnelReply } from './tunnel-messages.ts';
import type { TunnelNetwork, TunnelStream } from './tunnel-network.ts';

export interface OtherNodesOptions {
  /** For a container of another node to be made and to answer, ms. */
  readonly openTimeoutMs: number;
}

export interface OtherNodesDependencies {
  readonly network: TunnelNetwork;
  readonly catalog: { resolve(query: ControllerQuery): Resolution };
  /** Whether the image of an entry is here. */
  readonly hasImage: (reference: string, signal: AbortSignal) => Promise<boolean>;
  /** The other node that a job belongs to; undefined for one of this node, and one that nobody knows. */
  readonly ownerOf: (job: JobId) => NodeId | undefined;
  readonly clock: Clock;
}

/** Peers that are asked whether they would, and how long they have to say so, ms. */
const ASKED_PEERS = 8;
const ASK_LIMIT_MS = 1_000;

/** Codes of a catalog that does not have what is asked for; another one may. */
const UNKNOWN_HERE: ReadonlySet<string> = new Set([
  'controller_not_found',
  'version_not_found',
  'no_controllers',
]);

/** Leads clients to containers of other nodes: where their job is, or where the image is that this node does not have. */
export class OtherNodes implements Elsewhere {
  readonly #options: OtherNodesOptions;
  readonly #deps: OtherNodesDependencies;

  constructor(options: OtherNodesOptions, deps: OtherNodesDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  async open(wish: Wish, signal: AbortSignal): Promise<Opened | undefined> {
    const node = await this.#nodeFor(wish, signal);
    return node === undefined ? undefined : this.#carry(node, wish, signal);
  }

  async #nodeFor({ query }: Wish, signal: AbortSignal): Promise<NodeId | undefined> {
    const { job } = query;
    if (job !== undefined) return isJobId(job) ? this.#deps.ownerOf(job) : undefined;
    if (this.#deps.network.connected().length === 0 || (await this.#isHere(query, signal))) return undefined;
    return this.#bestPeer(query, signal);
  }

  /** What is wrong with the query otherwise is told by this node. */
  async #isHere(query: ControllerQuery, signal: AbortSignal): Promise<boolean> {
    try {
      const { controller } = this.#deps.catalog.resolve(query);
      return await this.#deps.hasImage(controller.image, signal);
    } catch (error) {
      if (error instanceof CatalogError) return !UNKNOWN_HERE.has(error.code);
      // Without its engine this node cannot say; its own answer tells why.
      signal.throwIfAborted();
      return true;
    }
  }

  /** The one with most room, ties by id; undefined when none of them would. */
  async #bestPeer(query: ControllerQuery, signal: AbortSignal): Promise<NodeId | undefined> {
    const peers = this.#deps.network.connected().slice(0, ASKED_PEERS);
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs: ASK_LIMIT_MS });
    const offers = await Promise.all(
      peers.map(async (node) => ({
        node,
        room: await this.#ask(node, query, limited.signal).catch(() => undefined),
      })),
    );
    signal.throwIfAborted();
    const able = offers.flatMap(({ node, room }) => (room === undefined ? [] : [{ node, room }]));
    able.sort((a, b) => b.room - a.room || (a.node < b.node ? -1 : 1));
    return able[0]?.node;
  }

  async #ask(node: NodeId, query: ControllerQuery, signal: AbortSignal): Promise<number | undefined> {
    const stream = await this.#deps.network.open(node, signal);
    try {
      const reply = await talk(stream, { kind: 'ask', query: plain(query) }, signal);
      return reply.kind === 'offer' ? reply.room : undefined;
    } finally {
      stream.abort(new Error('answered'));
    }
  }

  async #carry(node: NodeId, wish: Wish, signal: AbortSignal): Promise<Opened> {
    const { openTimeoutMs: limitMs } = this.#options;
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs });
    let stream: TunnelStream | undefined;
    try {
      stream = await this.#deps.network.open(node, limited.signal);
      const reply = await talk(stream, openRequestOf(wish), limited.signal);
      if (reply.kind === 'opened') return openedOf(reply, stream);
      if (reply.kind === 'refused') throw new Refused(refusalIn(reply));
      throw new Error('it answered something else');
    } catch (error) {
      stream?.abort(error as Error);
      signal.throwIfAborted();
      if (error instanceof Refused) throw error;
      const why = limited.isTimedOut ? `gave no answer within ${limitMs} ms` : messageOf(error);
      const text = `node ${node}, which has the container, cannot be reached: ${why}`;
      throw new Refused({ status: 502, text }, { cause: error });
    }
  }
}

async function talk(
  stream: TunnelStream,
  request: Parameters<typeof encodeTunnel>[0],
  signal: AbortSignal,
): Promise<TunnelReply> {
  await abortable(stream.write(encodeTunnel(request)), signal);
  return decodeTunnelReply(await abortable(stream.read(), signal));
}

function openedOf(reply: TunnelReply & { kind: 'opened' }, stream: TunnelStream): Opened {
  const { fields, controller, job } = reply;
  const channel = new TunnelChannel(stream);
  return { channel, head: Buffer.alloc(0), fields, controller, job: job as JobId, lease: undefined };
}

function refusalIn({ status, text, retry_after_ms: retryAfterMs }: TunnelReply & { kind: 'refused' }) {
  return { status, text, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Without the members that are undefined. */
function plain(query: ControllerQuery): Record<string, string> {
  return Object.fromEntries(Object.entries(query).filter(([, text]) => text !== undefined));
}

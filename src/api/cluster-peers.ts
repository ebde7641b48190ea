import type { Clock } from '../kernel/clock.ts';
import type { NodeId } from '../kernel/ids.ts';
import { PeerError } from '../peers/errors.ts';
import { decodeCard } from '../peers/node-card.ts';
import { SILENT_MS } from '../peers/replication/silence.ts';
import type { PeersView } from './ports.ts';
import type { IdentityView, PeerView } from './wire.ts';

/** What is needed of the network: who is connected, and what can be done about it. */
export interface PeerLinks {
  addresses(): readonly string[];
  peers(): readonly PeerLink[];
  ping(id: NodeId, signal: AbortSignal): Promise<number>;
  allow(id: NodeId): void;
  deny(id: NodeId): void;
  /** Drops its addresses. Whether any were known. */
  forget(id: NodeId): boolean;
}

export interface PeerLink {
  readonly peer: NodeId;
  readonly address: string;
  readonly direction: 'inbound' | 'outbound';
  readonly connectedForMs: number;
  readonly rttMs: number | undefined;
}

/** What is needed of the mirrors: who was heard, and when. */
export interface PeerRecords {
  owners(): Iterable<PeerRecord>;
  /** Drops what is known of an owner, here and by and by everywhere. */
  forget(id: NodeId): 'forgotten' | 'unknown' | 'still heard';
}

/** What is needed of the placements: jobs on their way to other nodes. */
export interface PeerPlacements {
  /** Gives up what is on its way to a node. Resolves when that is durable. */
  forget(id: NodeId): Promise<void>;
}

export interface PeerRecord {
  readonly owner: NodeId;
  /** By the monotonic clock, ms. */
  readonly heardAtMs: number;
  readonly recordCount: number;
  readonly newest: { readonly card: Uint8Array };
}

/** Every other node of the cluster, as the network and the mirrors know it. */
export class ClusterPeers implements PeersView {
  readonly #self: Omit<IdentityView, 'addresses'>;
  readonly #links: PeerLinks;
  readonly #records: PeerRecords;
  readonly #placements: PeerPlacements;
  readonly #clock: Clock;

  constructor(
    self: Omit<IdentityView, 'addresses'>,
    deps: { links: PeerLinks; records: PeerRecords; placements: PeerPlacements; clock: Clock },
  ) {
    this.#self = self;
    this.#links = deps.links;
    this.#records = deps.records;
    this.#placements = deps.placements;
    this.#clock = deps.clock;
  }

  identity(): IdentityView {
    return { ...this.#self, addresses: [...this.#links.addresses()] };
  }

  list(): PeerView[] {
    const links = new Map(this.#links.peers().map((link) => [link.peer, link]));
    const records = new Map([...this.#records.owners()].map((record) => [record.owner, record]));
    const ids = [...new Set([...links.keys(), ...records.keys()])].sort();
    return ids.map((id) => this.#viewOf(id, links.get(id), records.get(id)));
  }

  ping(id: NodeId, signal: AbortSignal): Promise<number> {
    return this.#links.ping(id, signal);
  }

  allow(id: NodeId): void {
    this.#links.allow(id);
  }

  deny(id: NodeId): void {
    this.#links.deny(id);
  }

  async forget(id: NodeId): Promise<boolean> {
    const outcome = this.#records.forget(id);
    if (outcome === 'still heard') {
      const message = `node ${id} was heard less than ${SILENT_MS / 1000} s ago: stop it first`;
      throw new PeerError('peer_alive', message, { details: { node: id } });
    }
    const hadAddress = this.#links.forget(id);
    await this.#placements.forget(id);
    return hadAddress || outcome === 'forgotten';
  }

  #viewOf(id: NodeId, link: PeerLink | undefined, record: PeerRecord | undefined): PeerView {
    const ageMs = this.#clock.monotonicMs() - (record?.heardAtMs ?? Number.NEGATIVE_INFINITY);
    const card = record === undefined ? undefined : decodeCard(record.newest.card);
    return {
      node_id: id,
      ...(card !== undefined && { name: card.name, version: card.version }),
      status: statusOf(link !== undefined, ageMs),
      addresses: link === undefined ? [] : [link.address],
      ...(link !== undefined && {
        direction: link.direction,
        connected_since: new Date(this.#clock.wallMs() - link.connectedForMs).toISOString(),
      }),
      ...(Number.isFinite(ageMs) && { heard_age_ms: Math.round(ageMs) }),
      ...(link?.rttMs !== undefined && { rtt_ms: link.rttMs }),
      jobs: record?.recordCount ?? 0,
      ...(card?.isDraining === true && { draining: true }),
    };
  }
}

function statusOf(isConnected: boolean, ageMs: number): PeerView['status'] {
  if (isConnected) return 'connected';
  if (!Number.isFinite(ageMs)) return 'never';
  return ageMs > SILENT_MS ? 'lost' : 'heard';
}

import { hash } from 'node:crypto';
import type { NodeId } from '../../src/kernel/ids.ts';
import { peerIdOf } from '../../src/peers/identity.ts';
import type { Signing } from '../../src/peers/signing.ts';
import type { MirroredRecord } from '../../src/peers/replication/mirror-store.ts';
import { Replicator, type ReplicationReports } from '../../src/peers/replication/replicator.ts';
import { MemoryMirrorStore } from './memory-mirror-store.ts';
import { quickRandom } from './seeded-random.ts';
import { SimulatedLog } from './simulated-log.ts';
import { VirtualClock } from './virtual-clock.ts';
import { VirtualNetwork, type VirtualNode } from './virtual-network.ts';

/** Signatures that cost nothing, and that only who has the secret can make: it is derived from the key within this file. */
class SimulatedSigning implements Signing {
  readonly publicKey: Uint8Array;

  constructor(name: string) {
    this.publicKey = hash('sha256', name, 'buffer');
  }

  sign(bytes: Uint8Array): Uint8Array {
    return signatureOf(this.publicKey, bytes);
  }

  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
    return Buffer.compare(signatureOf(publicKey, bytes), signature) === 0;
  }

  nodeIdOf(publicKey: Uint8Array): NodeId {
    const name = Buffer.from(publicKey).toString('latin1');
    const known = NODE_IDS.get(name) ?? peerIdOf(publicKey);
    NODE_IDS.set(name, known);
    return known;
  }
}

const NODE_IDS = new Map<string, NodeId>();

function signatureOf(publicKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hash('sha512', Buffer.concat([Buffer.from('only the owner knows'), publicKey, bytes]), 'buffer');
}

/** As of a node that is configured as it comes. */
const TOMBSTONE_MS = 7 * 86_400_000;

export type ReportCounts = Record<keyof ReplicationReports, number>;

/** One node of the cluster over all its lives. */
export class SimulatedNode {
  readonly signing: SimulatedSigning;
  readonly nodeId: NodeId;
  readonly counts: ReportCounts = {
    onConflict: 0, onOverflow: 0, onViolation: 0, onPullFailed: 0, onPulled: 0, onGossip: 0, onCopiedIdentity: 0,
    onBehind: 0, onMismatch: 0,
  }; // prettier-ignore
  readonly violations: string[] = [];
  log: SimulatedLog;
  store: MemoryMirrorStore;
  network: VirtualNode | undefined;
  replicator: Replicator | undefined;
  readonly #cluster: SimulatedCluster;
  /** How far its wall clock is from that of the cluster, ms. */
  #clockErrorMs = 0;

  constructor(name: string, cluster: SimulatedCluster) {
    this.#cluster = cluster;
    this.signing = new SimulatedSigning(name);
    this.nodeId = this.signing.nodeIdOf(this.signing.publicKey);
    this.log = this.#newLog();
    this.store = this.#newStore();
  }

  get isUp(): boolean {
    return this.replicator !== undefined;
  }

  start(): void {
    const { clock, network, random } = this.#cluster;
    this.network = network.join(this.nodeId);
    this.replicator = new Replicator(
      { tombstoneMs: TOMBSTONE_MS, card: () => new Uint8Array(), isAllowed: () => true },
      {
        network: this.network, log: this.log, store: this.store, signing: this.signing, clock, random,
        reports: this.#reports(), inspect: () => undefined,
      },
    ); // prettier-ignore
    this.replicator.mirror.subscribe((owner, { key }) => {
      const record = this.store.record(owner, key);
      if (record !== undefined) this.#cluster.onMirrored(this, record);
    });
  }

  /** As a kill does: nothing is said, and what was not yet written is gone. */
  crash(): void {
    const { network, replicator } = this;
    if (network === undefined || replicator === undefined) return;
    this.network = undefined;
    this.replicator = undefined;
    this.#cluster.network.leave(network);
    void replicator[Symbol.asyncDispose]();
  }

  /** Nothing is left of the mirrors, nor of how many lives there were. */
  loseMirrors(): void {
    this.store = this.#newStore();
  }

  /** The next life knows nothing of the ones before. */
  loseStores(): void {
    this.log = this.#newLog();
    this.loseMirrors();
  }

  /** Its clock shows an earlier time from now on, before all that it once showed. */
  setClockBack(): void {
    this.#clockErrorMs -= 86_400_000;
  }

  #newLog(): SimulatedLog {
    return new SimulatedLog(() => this.#cluster.newEpoch(this.#clockErrorMs));
  }

  #newStore(): MemoryMirrorStore {
    return new MemoryMirrorStore(() => this.#cluster.clock.wallMs() + this.#clockErrorMs);
  }

  #reports(): ReplicationReports {
    const { counts, violations } = this;
    const count = (name: keyof ReplicationReports) => (): void => void (counts[name] += 1);
    return {
      onConflict: count('onConflict'),
      onOverflow: count('onOverflow'),
      onViolation: (_peer, error) => {
        counts.onViolation += 1;
        violations.push(error.message);
      },
      onPullFailed: count('onPullFailed'),
      onPulled: count('onPulled'),
      onGossip: count('onGossip'),
      onCopiedIdentity: count('onCopiedIdentity'),
      onBehind: count('onBehind'),
      onMismatch: count('onMismatch'),
    };
  }
}

interface Written {
  /** Counts all that is written by anybody. */
  readonly change: number;
  readonly body: Uint8Array | undefined;
}

interface Told {
  readonly epoch: number;
  readonly seq: number;
  readonly change: number;
}

function isAfter(one: Told, other: Told): boolean {
  return one.epoch === other.epoch ? one.seq > other.seq : one.epoch > other.epoch;
}

/** Nodes that replicate their logs over a virtual network, and a watch over what they are told. */
export class SimulatedCluster {
  readonly clock = new VirtualClock();
  readonly random: () => number;
  readonly network: VirtualNetwork;
  readonly nodes: SimulatedNode[];
  /** What broke a rule, in words. */
  readonly broken: string[] = [];
  /** All that an owner ever wrote, by place; one whose store was restored writes some places twice. */
  readonly #written = new Map<string, Written[]>();
  readonly #epochs = new Map<NodeId, Set<number>>();
  /** What a node was told of a key last. */
  readonly #told = new WeakMap<MemoryMirrorStore, Map<string, Told>>();
  #epoch = 0;
  #changes = 0;

  constructor(options: { readonly seed: number; readonly size: number }) {
    this.random = quickRandom(options.seed);
    this.network = new VirtualNetwork({ clock: this.clock, random: this.random });
    this.nodes = Array.from({ length: options.size }, (_, index) => new SimulatedNode(`node ${index}`, this));
  }

  /** Follows a clock that errs by so much, as the epochs of a node do, and is never the same twice. */
  newEpoch(clockErrorMs: number): number {
    this.#epoch += 1_000;
    return 1_000_000_000 + this.#epoch + clockErrorMs;
  }

  /** A number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** An owner changes one of its things, or makes or removes one. */
  change(node: SimulatedNode): void {
    const live = node.log.live();
    const chance = this.random();
    const isNew = live.length === 0 || chance < 0.4;
    // Few keys in all, so that several owners have the same: a client that used one idempotency key on both sides of a cut.
    const key = isNew ? `key ${this.below(400)}` : this.pick(live).key;
    const isRemoval = !isNew && chance > 0.85;
    this.write(node, key, isRemoval ? undefined : Buffer.from(`change ${this.#changes + 1}`));
  }

  write(node: SimulatedNode, key: string, body: Uint8Array | undefined): void {
    const { epoch } = node.log;
    const { seq } = node.log.change(key, body);
    this.#changes += 1;
    const place = `${node.nodeId} ${epoch} ${seq} ${key}`;
    this.#written.set(place, [...(this.#written.get(place) ?? []), { change: this.#changes, body }]);
    this.#epochs.set(node.nodeId, (this.#epochs.get(node.nodeId) ?? new Set()).add(epoch));
  }

  /** Hears of everything that any mirror takes up. */
  onMirrored(node: SimulatedNode, record: MirroredRecord): void {
    const { owner, key, epoch, seq } = record;
    const change = this.#changeOf(record);
    if (change === undefined)
      this.broken.push(`${key} of ${owner} at ${epoch}-${seq} was never written by it`);
    const told = this.#told.get(node.store) ?? new Map<string, Told>();
    this.#told.set(node.store, told);
    const name = `${owner} ${key}`;
    const last = told.get(name);
    const now = { epoch, seq, change: change ?? 0 };
    // An owner that was restored may write a place again, and later than what it had written at greater ones.
    if (last !== undefined && !isAfter(now, last) && now.change <= last.change)
      this.broken.push(`${key} of ${owner} went back from ${last.epoch}-${last.seq} to ${epoch}-${seq}`);
    told.set(name, now);
  }

  /** The last change of the cluster that a record may be; a new epoch says again what was written in one before. */
  #changeOf({ owner, key, seq, body }: MirroredRecord): number | undefined {
    const written = [...(this.#epochs.get(owner) ?? [])].flatMap(
      (epoch) => this.#written.get(`${owner} ${epoch} ${seq} ${key}`) ?? [],
    );
    return written.filter((each) => sameBytes(each.body, body)).at(-1)?.change;
  }

  /** Every way in which a mirror differs from its owner's log; none when all is well. */
  differences(): string[] {
    const up = this.nodes.filter((node) => node.isUp);
    return up.flatMap((owner) =>
      up.filter((node) => node !== owner).flatMap((node) => differencesOf(owner, node)),
    );
  }

  /** Lets time pass until nothing differs any more; gives back how long that took, ms. */
  async untilEqual(limitMs: number): Promise<number> {
    const startMs = this.clock.monotonicMs();
    while (this.differences().length > 0) {
      const tookMs = this.clock.monotonicMs() - startMs;
      if (tookMs > limitMs)
        throw new Error(`not equal after ${limitMs} ms: ${this.differences().slice(0, 5).join('; ')}`);
      await this.clock.pass(100);
    }
    return this.clock.monotonicMs() - startMs;
  }

  crashAll(): void {
    for (const node of this.nodes) node.crash();
  }
}

function differencesOf(owner: SimulatedNode, node: SimulatedNode): string[] {
  const live = owner.log.live();
  const found = live
    .filter(({ key, body }) => !sameBytes(node.store.record(owner.nodeId, key)?.body, body))
    .map(({ key }) => `${node.nodeId} lacks ${key} of ${owner.nodeId}`);
  const keys = new Set(live.map(({ key }) => key));
  const extra = node.store
    .keysUpTo(owner.nodeId, Number.MAX_SAFE_INTEGER, 0)
    .filter((key) => !keys.has(key) && node.store.record(owner.nodeId, key)?.body !== undefined)
    .map((key) => `${node.nodeId} has ${key} of ${owner.nodeId}, which is gone`);
  return [...found, ...extra];
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}

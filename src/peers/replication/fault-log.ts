import type { Clock } from '../../kernel/clock.ts';
import { CodedError } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { HealthPart } from '../../telemetry/health.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { PeerTelemetry } from '../../telemetry/peer-telemetry.ts';
import type { PeerError } from '../errors.ts';
import type { GossipVerdict } from '../network.ts';
import type { PullScope } from './pulls.ts';
import type { ReplicationReports } from './replicator.ts';

export interface FaultLogDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry: PeerTelemetry;
  /** Whose faults these are to this node's own health. */
  readonly nodeId: NodeId;
  readonly health: Pick<HealthPart, 'ok' | 'down'>;
}

/** What is not as honest and healthy nodes have it, in words. */
const FAULTS = {
  conflict: 'a node has said two things of one change of a job; the first one counts',
  overflow: 'a node has more jobs, or there are more nodes, than are mirrored here or have room on the disk',
  violation: 'a peer sent what no honest node sends; it was dropped',
  mismatch: 'what is known of a node is not what it has; it is fetched anew',
  behind: 'others know more of this node than its store; it begins a new epoch',
  copied_identity: 'two nodes run with one identity',
} as const;

/** What lasts is said again so often, ms. */
const REPEAT_MS = 60_000;
/** That two nodes run with one identity shows itself more often than this, as long as it lasts, ms. */
const COPY_LASTS_MS = 900_000;
/** Peers choose what faults are told of: so many are remembered as said. */
const MAX_SAID = 1024;

/** Counts what replication reports, and logs what is not as it should be: the same of the same node once a minute. */
export class FaultLog implements ReplicationReports, Disposable {
  readonly #deps: FaultLogDependencies;
  readonly #saidAtMs = new Map<string, number>();
  /** Runs while this node's identity is known to be another one's, too. */
  #recovery: Disposable | undefined;

  constructor(deps: FaultLogDependencies) {
    this.#deps = deps;
  }

  onConflict(owner: NodeId, key: string): void {
    this.#note('conflict', owner, { key });
  }

  onOverflow(owner: NodeId): void {
    this.#note('overflow', owner);
  }

  onViolation(peer: NodeId, error: PeerError): void {
    this.#note('violation', peer, { reason: error.message });
  }

  onMismatch(owner: NodeId): void {
    this.#note('mismatch', owner);
  }

  onBehind(epoch: number): void {
    this.#note('behind', undefined, { epoch });
  }

  onCopiedIdentity(owner: NodeId): void {
    const remedy = 'stop one of the two, remove its identity.key and start it again';
    this.#note('copied_identity', owner, { remedy });
    // Of another node's only its own health can tell: of its two, this one is neither.
    if (owner !== this.#deps.nodeId) return;
    this.#deps.health.down(`two nodes run with the identity ${owner}: ${remedy}`);
    this.#recovery?.[Symbol.dispose]();
    this.#recovery = this.#deps.clock.after(COPY_LASTS_MS, () => this.#deps.health.ok());
  }

  [Symbol.dispose](): void {
    this.#recovery?.[Symbol.dispose]();
  }

  onPullFailed(peer: NodeId, error: unknown): void {
    this.#deps.telemetry.synced('any', error instanceof CodedError ? error.code : 'error', 0, 0);
    this.#deps.logger.debug({ peer, err: error }, 'peer could not be asked');
  }

  onPulled(peer: NodeId, scope: PullScope, records: number, durationMs: number): void {
    this.#deps.telemetry.synced(scope, 'ok', records, durationMs);
    this.#deps.logger.debug({ peer, scope, records, duration_ms: Math.round(durationMs) }, 'peer was asked');
  }

  onGossip(verdict: GossipVerdict, records: number): void {
    if (verdict === 'accept') this.#deps.telemetry.gossipTaken(records);
  }

  #note(fault: keyof typeof FAULTS, node: NodeId | undefined, facts: object = {}): void {
    this.#deps.telemetry.replicationFault(fault);
    const nowMs = this.#deps.clock.monotonicMs();
    const name = `${fault} ${node ?? ''}`;
    if (nowMs - (this.#saidAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    if (this.#saidAtMs.size >= MAX_SAID) this.#saidAtMs.clear();
    this.#saidAtMs.set(name, nowMs);
    this.#deps.logger.warn({ ...(node !== undefined && { peer: node }), ...facts }, FAULTS[fault]);
  }
}

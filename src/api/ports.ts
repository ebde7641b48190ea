import type { Catalog } from '../catalog/catalog.ts';
import type { Clock } from '../kernel/clock.ts';
import type { InvariantError } from '../kernel/errors.ts';
import type { FrontDoor } from '../frontdoor/front-door.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { HealthView, IdentityView, NodeInfoView, PeerView, RpcMethods } from './wire.ts';

/** What the API needs of a logger: facts first, then a constant message. */
export interface ApiLogger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** What the API counts, and the page of all metrics. Label values come from closed sets. */
export interface ApiMetrics {
  /** One call of a JSON-RPC method ended. `method` is `unknown` for a name we do not have; `outcome` is `ok` or a reason. */
  rpcCall(method: string, outcome: string, durationMs: number): void;
  /** One HTTP request was answered. `route` is a pattern such as `/v1/jobs/{id}/logs`. */
  httpRequest(route: string, status: number): void;
  /** A request was turned away before it reached a route. */
  refused(reason: string): void;
  streamOpened(route: string): void;
  streamClosed(route: string): void;
  /** The page for `/metrics`. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

export type VersionView = RpcMethods['SystemService.Version']['result'];

/**
 * The other nodes of the cluster. Where this node takes no part in one, there are none, and whatever is to be done with
 * one fails with a `PeerError` `peers_disabled`.
 */
export interface PeersView {
  identity(): IdentityView;
  list(): PeerView[];
  /** Resolves with the round trip in ms. Fails with a `PeerError` `peer_unreachable`, or with the signal's reason. */
  ping(id: NodeId, signal: AbortSignal): Promise<number>;
  /** Lets a node be a peer, whatever `peers.allow` says, until this process ends. */
  allow(id: NodeId): void;
  /** Ends the connections with a node and makes none with it until this process ends, or it is allowed. */
  deny(id: NodeId): void;
  /**
   * Drops its addresses, what is known of its jobs, and what is on its way to it. Whether it was known. Fails with `peer_alive` for
   * one that was heard just now.
   */
  forget(id: NodeId): Promise<boolean>;
}

/** This node as one that can be taken out of service. */
export interface NodeControl {
  info(): Omit<NodeInfoView, 'waiting' | 'working' | 'running'>;
  /** Accepts no new job from now on, over restarts, too; jobs that it has go on. Twice is as once. */
  drain(): void;
  undrain(): void;
}

/** The controllers of this node, as they are shown and changed. */
export type Controllers = Pick<
  Catalog,
  | 'list'
  | 'find'
  | 'resolve'
  | 'problem'
  | 'warnings'
  | 'register'
  | 'update'
  | 'remove'
  | 'discover'
  | 'validate'
  | 'test'
>;

/** What leads clients to containers: who is connected, and an end to it. */
export type Door = Pick<FrontDoor, 'serve' | 'sessions' | 'closeSession'>;

export interface ApiDependencies {
  readonly jobs: Jobs;
  readonly peers: PeersView;
  readonly node: NodeControl;
  readonly controllers: Controllers;
  /** Without it the node serves its API alone. */
  readonly frontDoor?: Door;
  readonly logger: ApiLogger;
  readonly metrics: ApiMetrics;
  readonly clock: Clock;
  /** The state of the node and its parts, at once and without waiting for any of them. */
  readonly health: () => HealthView;
  /** Whether the jobs are not known yet: until they are, only the probes and the metrics are answered. */
  readonly isStarting: () => boolean;
  readonly version: () => VersionView | Promise<VersionView>;
  /** Told of a broken invariant that a request ran into; whoever runs the process decides what becomes of it. */
  readonly onInvariantError: (error: InvariantError) => void;
}

/** What the parts that deal with other nodes tell the counters: as `Telemetry` for the rest, never an id among the texts. */
export interface PeerTelemetry {
  peerRefused(reason: string): void;
  /** A gossiped message was sent, or came and was judged. */
  gossiped(outcome: string): void;
  /** The records of one that was taken. */
  gossipTaken(records: number): void;
  synced(scope: string, outcome: string, records: number, durationMs: number): void;
  replicationFault(fault: string): void;
}

/** What is asked for when somebody looks at the metrics. Answers at once. */
export interface WatchedPeers {
  readonly connected: () => number;
  readonly lost: () => number;
  readonly mirrored: () => number;
}

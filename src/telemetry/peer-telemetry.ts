/** What the parts that deal with other nodes tell the counters: as `Telemetry` for the rest, never an id among the texts. */
export interface PeerTelemetry {
  peerRefused(reason: string): void;
  /** `sent`, or what became of one that came. */
  gossiped(outcome: string, records: number): void;
  synced(scope: string, outcome: string, records: number, durationMs: number): void;
  replicationFault(fault: string): void;
}

/** What is asked for when somebody looks at the metrics. Answers at once. */
export interface WatchedPeers {
  readonly connected: () => number;
  readonly lost: () => number;
  readonly mirrored: () => number;
}

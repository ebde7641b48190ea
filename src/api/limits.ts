/** Every bound of the API's listener. Sizes in bytes, times in ms; a request exactly at a limit is served. */
export interface ApiLimits {
  readonly maxBodyBytes: number;
  /** Calls in one JSON-RPC batch. */
  readonly maxBatchItems: number;
  /** Objects and arrays inside each other, the outermost one counted. */
  readonly maxNesting: number;
  /** All header lines together, line ends included. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  readonly maxUrlBytes: number;
  /** For the head of a request to arrive, counted from the connection or the request before. */
  readonly headersTimeoutMs: number;
  /** For a whole request to arrive. A reply may take longer: streams and waits are not concerned. */
  readonly requestTimeoutMs: number;
  /** How often the two limits above are looked at; a connection may outlive them by as much. */
  readonly connectionsCheckingIntervalMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly maxConnections: number;
  /**
   * Connections from one address (one /64 for IPv6). Loopback is not counted: that address stands for every program
   * of the host, so one of them must not be able to shut the others out at 64.
   */
  readonly maxConnectionsPerAddress: number;
  /** Event and log streams open at once. */
  readonly maxStreams: number;
  /** A client that takes nothing of what waits for it for so long is dropped. */
  readonly stallTimeoutMs: number;
  /** Between two comments on an event stream on which nothing else happens. */
  readonly heartbeatMs: number;
}

export const DEFAULT_API_LIMITS: ApiLimits = {
  maxBodyBytes: 1024 * 1024,
  maxBatchItems: 100,
  maxNesting: 64,
  maxHeaderBytes: 16 * 1024,
  maxHeaderCount: 100,
  maxUrlBytes: 4096,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  connectionsCheckingIntervalMs: 1_000,
  keepAliveTimeoutMs: 5_000,
  maxConnections: 2_000,
  maxConnectionsPerAddress: 64,
  maxStreams: 256,
  stallTimeoutMs: 30_000,
  heartbeatMs: 15_000,
};

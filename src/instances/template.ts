/** How instances of one kind are made, and how many there may be. Sizes in bytes, times in ms. */
export interface InstanceTemplate {
  /** For people: what `ps` shows as the name of its jobs, and with the version a label of the containers. */
  readonly name: string;
  readonly version: string;
  readonly image: string;
  /** The image that was validated under that name; undefined where none was. Another one is not started. */
  readonly imageId: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly resources: { readonly cpu?: number; readonly memory?: number; readonly pids?: number };
  /** Where it accepts connections, inside its network. */
  readonly port: number;
  /** What accepts connections once it is ready; mostly the same. */
  readonly probePort: number;
  /** Published on this host as well; 0: not at all. */
  readonly hostPort: number;
  /** Of one connection, with which it ends, or of several. */
  readonly sharing: Sharing;
  /** Of one shared instance. */
  readonly maxConnections: number;
  /** Of this kind, at once. */
  readonly maxInstances: number;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** How long a shared one stays without a connection. */
  readonly idleTimeoutMs: number;
}

export type Sharing = 'exclusive' | 'shared';

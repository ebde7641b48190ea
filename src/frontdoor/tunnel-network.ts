import type { NodeId } from '../kernel/ids.ts';

/** Frames both ways, in order. */
export interface TunnelStream {
  /** The next one; undefined when the other side has ended. Rejects when the stream broke. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when there is room for more. */
  write(frame: Uint8Array): Promise<void>;
  end(): Promise<void>;
  abort(reason: Error): void;
}

/** What the front door needs of the network of peers. */
export interface TunnelNetwork {
  connected(): readonly NodeId[];
  /** Fails when the peer cannot be reached, or with the signal's reason. */
  open(peer: NodeId, signal: AbortSignal): Promise<TunnelStream>;
  handle(handler: (stream: TunnelStream, from: NodeId, signal: AbortSignal) => Promise<void>): void;
}

/** Longest frame: what is carried goes in pieces of at most this, bytes. */
export const MAX_TUNNEL_FRAME_BYTES = 64 * 1024;

/** As many clients between two nodes as a wind farm has turbines. */
export const TUNNEL_PROTOCOL = {
  id: '/container-manager/tunnel/1.0.0',
  maxFrameBytes: MAX_TUNNEL_FRAME_BYTES,
  maxInboundStreams: 128,
  maxInboundPerSecond: 50,
} as const;

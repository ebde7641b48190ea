import type { NodeId } from '../kernel/ids.ts';

/**
 * What the rest of the node needs of the network of its peers. One adapter (libp2p) implements it, and a virtual one for
 * simulations; both pass the suite in `test/conformance/`.
 */
export interface PeerNetwork {
  readonly nodeId: NodeId;
  /** Peers with an admitted connection, each once. */
  connected(): readonly NodeId[];
  /** Hears of every peer that comes (its first connection is admitted) and goes (its last one has ended). */
  subscribe(listener: (peer: NodeId, isConnected: boolean) => void): Disposable;
  /** Tells all members. Returns at once; the message may be lost. At most `MAX_GOSSIP_BYTES`. */
  publish(message: Uint8Array): void;
  /**
   * Sets who judges each message that is gossiped, once, before it is passed on to others. `from` is who passed it on, not who
   * wrote it. What it throws is a mistake of ours, and ends the process.
   */
  onGossip(judge: (message: Uint8Array, from: NodeId) => GossipVerdict): void;
  /**
   * Opens a stream to a connected peer. Fails with a `PeerError` `peer_unreachable` when there is no connection, the peer does
   * not speak the protocol or does not answer in time, or with the signal's reason.
   */
  open(peer: NodeId, protocol: StreamProtocol, signal: AbortSignal): Promise<PeerStream>;
  /**
   * Answers a protocol. The stream is ended when the handler resolves and reset when it rejects; the handler's own signal is
   * aborted when the peer resets the stream or goes.
   */
  handle(
    protocol: StreamProtocol,
    handler: (stream: PeerStream, from: NodeId, signal: AbortSignal) => Promise<void>,
  ): void;
}

/** What is to be done with a gossiped message: pass it on, leave it at that, or drop it and hold it against who sent it. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/** Longest gossiped message. */
export const MAX_GOSSIP_BYTES = 64 * 1024;

export interface StreamProtocol {
  /** Such as `/container-manager/sync/1.0.0`. */
  readonly id: string;
  /** A longer frame ends the stream. */
  readonly maxFrameBytes: number;
  /** Streams that one peer may have open to us at once; one more is reset. */
  readonly maxInboundStreams: number;
  /** How many one peer may open in a second, in the long run; one more is reset. */
  readonly maxInboundPerSecond: number;
}

/** Frames in order, both ways, over one stream. */
export interface PeerStream {
  /** The next frame; `undefined` when the other side has ended. Rejects when the stream was reset or a frame is too long. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when there is room for more: whoever awaits it cannot run ahead of a slow reader. */
  write(frame: Uint8Array): Promise<void>;
  /** Ends our side once what was written is out. */
  end(): Promise<void>;
  /** Gives the stream up, both ways. Twice is as once. */
  abort(reason: Error): void;
}

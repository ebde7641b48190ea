/** What the network may cost, whoever is at the other end. Bytes and milliseconds by their names. */

/** Streams of one peer, each way: those of the clients that it leads here, and what nodes have to say to each other. */
export const MAX_STREAMS = 192;
/** What is received of a stream before it is read; also yamux's smallest window, and here its largest. */
export const STREAM_READ_BYTES = 256 * 1024;
/** What waits to be sent on a stream; one that exceeds it is reset. */
export const STREAM_WRITE_BYTES = 1024 * 1024;

/**
 * Connections that one host may open in a second. libp2p's 5 would keep a cluster whose nodes share one machine from forming:
 * each node of ten is dialled by nine others from one address at the same moment, and again by those that were refused. A
 * stranger gains little by more: without the cluster's key a connection costs a nonce and a wrong line, no signature.
 */
export const MAX_INBOUND_PER_HOST_PER_SECOND = 64;
/** Connections that have not said yet who they are. */
export const MAX_INBOUND_PENDING = 10;
/** Connections that wait for the process to accept them. */
export const TCP_BACKLOG = 64;
/** Until who has connected must have proved who it is. Short, since it holds one of the places above. */
export const INBOUND_UPGRADE_LIMIT_MS = 5_000;
/** Connections of one peer: two nodes that dial each other at once have two for a moment. */
export const MAX_CONNECTIONS_PER_PEER = 2;

/**
 * With so many connections nobody is dialled any more. The others are left to those who come: nodes that all had as many as they may
 * have, with each other, would never let another one in.
 */
export function mostDialled(maxConnections: number): number {
  return maxConnections - Math.max(1, Math.floor(maxConnections / 16));
}

export const DIAL_LIMIT_MS = 5_000;
/** Until a name has become addresses. */
export const RESOLVE_LIMIT_MS = 3_000;
/** One address of several; what is black-holed must not use up the time of those behind it. */
export const ADDRESS_DIAL_LIMIT_MS = 3_000;
/** Peers dialled at once: a peer behind a dropped route holds its place for the whole limit, and living ones wait for it. */
export const MAX_PARALLEL_DIALS = 8;

/** From the connection until identify has told what the peer speaks. */
export const ADMISSION_LIMIT_MS = 6_000;
/** Until a peer has agreed to speak the protocol of a stream. */
export const STREAM_OPEN_LIMIT_MS = 5_000;
/** A stream on which nothing moves for so long, neither way, is reset. */
export const STREAM_IDLE_LIMIT_MS = 60_000;

/** TCP probes a silent connection after so long. */
export const TCP_KEEP_ALIVE_MS = 15_000;
/** Until a connection that was asked for a sign of life is given up. */
export const PING_LIMIT_MS = 7_000;
/** Pings of one peer at once: ours, and those that somebody asked for. */
export const MAX_PING_STREAMS = 4;

/** After so long without an end by itself the network is cut off. */
export const STOP_LIMIT_MS = 800;

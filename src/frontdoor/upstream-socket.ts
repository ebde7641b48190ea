import { connect, type Socket } from 'node:net';
import type { Upstream } from '../instances/instances.ts';

/** Sent to a dead peer that is silent, so that it is found out, ms. */
const KEEP_ALIVE_MS = 15_000;
/** What one read takes at most, bytes. */
const READ_BYTES = 64 * 1024;

/**
 * All sockets read into this one: a memory of its own for each read, of which most is given back, costs more than the copy of what has
 * come. It is free again as soon as that is made.
 */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** A connection to an instance. What comes is told as of any socket; `unshift` and reading without a listener are not for it. */
export function connectUpstream({ host, port }: Upstream): Socket {
  const socket: Socket = connect({
    ...{ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    onread: {
      buffer: readBuffer,
      callback: (bytes): boolean => socket.emit('data', Buffer.from(readBuffer.subarray(0, bytes))),
    },
  });
  // Whoever has it is told of its close; without any listener an error would end the process.
  socket.on('error', ignore);
  return socket;
}

function ignore(): void {
  // The close that follows says the rest.
}

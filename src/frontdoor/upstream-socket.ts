import { connect, type Socket } from 'node:net';
import type { Upstream } from '../instances/instances.ts';
import { sharedReading } from './shared-reading.ts';

/** Of silence before an instance is asked whether it is there; after ten questions, one a second, it is not, ms. */
const KEEP_ALIVE_MS = 15_000;

/** A connection to an instance. What comes is told as of any socket; `unshift` and reading without a listener are not for it. */
export function connectUpstream({ host, port }: Upstream): Socket {
  const socket: Socket = connect({
    ...{ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    onread: sharedReading(() => socket),
  });
  // Whoever has it is told of its close; without any listener an error would end the process.
  socket.on('error', ignore);
  return socket;
}

function ignore(): void {
  // The close that follows says the rest.
}

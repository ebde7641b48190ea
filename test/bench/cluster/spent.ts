import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { Spent } from './talker.ts';

/** Counts what this process spends. Made before the first connection: those before it are not seen. */
export class Spending {
  readonly #sockets = new Set<Socket>();
  #closedBytes = 0;

  constructor() {
    const onSocket = (message: unknown): void => this.#watch((message as { socket: Socket }).socket);
    channel('net.client.socket').subscribe(onSocket);
    channel('net.server.socket').subscribe(onSocket);
  }

  total(): Spent {
    const { user, system } = process.cpuUsage();
    const openBytes = [...this.#sockets].reduce((sum, socket) => sum + bytesOf(socket), 0);
    return { cpuMs: (user + system) / 1000, bytes: this.#closedBytes + openBytes };
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#closedBytes += bytesOf(socket);
    });
  }
}

function bytesOf({ bytesRead, bytesWritten }: Socket): number {
  return bytesRead + bytesWritten;
}

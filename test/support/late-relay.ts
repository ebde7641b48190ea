import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** How late what comes in goes out, ms: at random between the two, and never out of order. */
export interface Lateness {
  readonly minMs: number;
  readonly maxMs: number;
}

/** A TCP relay on loopback that stands for a long way: everything arrives late, either way. */
export class LateRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: number, lateness: Lateness): Promise<LateRelay> {
    const server = createServer({ noDelay: true });
    const relay = new LateRelay(server);
    server.on('connection', (client) => relay.#join(client, targetPort, lateness));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the relay does not listen');
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(client: Socket, targetPort: number, lateness: Lateness): void {
    const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const ways = [
      [client, target],
      [target, client],
    ] as const;
    for (const [from, to] of ways) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      forwardLate(from, to, lateness);
    }
  }
}

function forwardLate(from: Socket, to: Socket, { minMs, maxMs }: Lateness): void {
  const waiting: Buffer[] = [];
  let dueMs = 0;
  const send = (): void => {
    const data = waiting.shift();
    if (data !== undefined && !to.destroyed) to.write(data);
  };
  from.on('data', (data: Buffer) => {
    const nowMs = performance.now();
    waiting.push(data);
    dueMs = Math.max(dueMs, nowMs + minMs + Math.random() * (maxMs - minMs));
    setTimeout(send, dueMs - nowMs);
  });
}

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What a relay does to bytes on their way back to the client. */
export type RelayFault =
  | { readonly kind: 'none' }
  /** Passes that many bytes of each connection at once and then no more; the connection stays open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Resets each connection after that many bytes; with `once` only the first that gets so far. */
  | { readonly kind: 'cut'; readonly afterBytes: number; readonly once?: boolean }
  /** Passes about so much a second. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number };

const SLOW_STEP_MS = 50;

/** A TCP relay on loopback whose way back can be made bad, at once and for open connections too. */
export class TcpRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  fault: RelayFault = { kind: 'none' };
  /** Bytes passed to clients so far. */
  passedBytes = 0;
  /** Connections that were cut so far. */
  cutCount = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: number): Promise<TcpRelay> {
    const server = createServer({ noDelay: true });
    const relay = new TcpRelay(server);
    server.on('connection', (client) => relay.#join(client, targetPort));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the relay does not listen');
    return `127.0.0.1:${address.port}`;
  }

  /** Clients connected now. */
  get connectionCount(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(client: Socket, targetPort: number): void {
    const target = connect(targetPort, '127.0.0.1');
    let passed = 0;
    this.#sockets.add(client);
    client.on('error', () => target.destroy());
    target.on('error', () => client.destroy());
    client.on('close', () => {
      this.#sockets.delete(client);
      target.destroy();
    });
    target.on('end', () => client.end());
    client.pipe(target);
    target.on('data', (data: Buffer) => {
      const { fault } = this;
      const isOver = 'afterBytes' in fault && passed + data.length > fault.afterBytes;
      if (isOver && fault.kind === 'cut') {
        this.cutCount += 1;
        if (fault.once === true) this.fault = { kind: 'none' };
        return void client.resetAndDestroy();
      }
      if (isOver && fault.kind === 'stall') return void target.pause();
      passed += data.length;
      this.passedBytes += data.length;
      const delayMs = fault.kind === 'slow' ? (data.length / fault.bytesPerSecond) * 1000 : 0;
      const isFull = !client.write(data);
      if (!isFull && delayMs < 1) return;
      target.pause();
      const resume = (): void => void target.resume();
      if (delayMs >= 1) setTimeout(resume, Math.max(SLOW_STEP_MS, delayMs)).unref();
      else client.once('drain', resume);
    });
  }
}

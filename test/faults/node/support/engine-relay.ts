import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Stands in front of an engine's socket and notes when who knocks, also while the engine is away. */
export class EngineRelay implements AsyncDisposable {
  readonly #target: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-relay-'));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** When connections that found no engine were made, monotonic ms. */
  readonly knocks: number[] = [];

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((socket) => this.#pass(socket));
  }

  static async start(target: string): Promise<EngineRelay> {
    const relay = new EngineRelay(target);
    relay.#server.listen(join(relay.#directory, 'relay.sock'));
    await once(relay.#server, 'listening');
    return relay;
  }

  get host(): string {
    return `unix://${join(this.#directory, 'relay.sock')}`;
  }

  #pass(client: Socket): void {
    const atMs = performance.now();
    const engine = connect(this.#target);
    for (const [socket, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
    let isThrough = false;
    engine.once('connect', () => (isThrough = true));
    engine.once('error', () => {
      if (!isThrough) this.knocks.push(atMs);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

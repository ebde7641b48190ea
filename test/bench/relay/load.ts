import { NativeProcess } from './native-process.ts';

/** Where the load goes. */
export interface LoadTarget {
  readonly port: number;
  /** Path and query of the WebSocket. */
  readonly target: string;
}

export interface LoadOptions {
  readonly connections: number;
  /** Of one message, bytes. */
  readonly messageBytes: number;
  readonly seconds: number;
}

type Counted = { readonly count: number; readonly seconds: number };

/** The clients of a proxy. */
export class Load {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  /** Messages there and back, with one under way on each connection; per second. */
  messages(to: LoadTarget, options: LoadOptions): Promise<number> {
    return this.#perSecond('messages', to, options);
  }

  /** Whole connections, so many at a time: connect, upgrade, one message, close; per second. */
  handshakes(to: LoadTarget, options: LoadOptions): Promise<number> {
    return this.#perSecond('handshakes', to, options);
  }

  /** Resolves once so many connections are open, each of which has had a message; they stay until it is disposed. */
  async hold(
    { port, target }: LoadTarget,
    connections: number,
    messageBytes: number,
  ): Promise<AsyncDisposable> {
    await using parts = new AsyncDisposableStack();
    const args = ['idle', port, target, connections, messageBytes].map(String);
    const load = parts.use(new NativeProcess(this.#program, args));
    await load.next();
    return parts.move();
  }

  async #perSecond(what: string, { port, target }: LoadTarget, options: LoadOptions): Promise<number> {
    const { connections, messageBytes, seconds } = options;
    const args = [what, port, target, connections, messageBytes, seconds].map(String);
    await using load = new NativeProcess(this.#program, args);
    const counted = await load.next<Counted>();
    return counted.count / counted.seconds;
  }
}

import { NativeProcess } from './native-process.ts';
import type { LoadTarget } from './load.ts';

/** What is behind all proxies. */
export class Echo implements LoadTarget, AsyncDisposable {
  readonly port: number;
  readonly target = '/ws';
  readonly #process: NativeProcess;

  private constructor(port: number, process: NativeProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start(program: string): Promise<Echo> {
    await using parts = new AsyncDisposableStack();
    const process = parts.use(new NativeProcess(program, []));
    const { port } = await process.next<{ port: number }>();
    parts.move();
    return new Echo(port, process);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

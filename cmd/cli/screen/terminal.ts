import { once } from 'node:events';
import type { WriteStream } from 'node:tty';
import { paintAnsi, paintNothing, type Paint } from './style.ts';

/** One of the two outputs. */
export class Screen {
  readonly #stream: NodeJS.WriteStream;
  readonly isTty: boolean;
  readonly paint: Paint;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.isTty = stream.isTTY === true;
    // Looks at NO_COLOR, FORCE_COLOR and TERM, too; anywhere but on a terminal there is no colour.
    this.paint = this.isTty && (stream as WriteStream).hasColors() ? paintAnsi : paintNothing;
  }

  get hasColour(): boolean {
    return this.paint !== paintNothing;
  }

  /** Columns of the terminal now; `undefined` where it is none, and nothing needs to be cut. */
  get width(): number | undefined {
    return this.#sizeOr(this.#stream.columns);
  }

  get height(): number | undefined {
    return this.#sizeOr(this.#stream.rows);
  }

  /** A terminal inside a container has no size before it is told one. */
  #sizeOr(size: number): number | undefined {
    return this.isTty && size > 0 ? size : undefined;
  }

  /** Resolves when there is room for more, so that a slow reader costs no memory. */
  async write(text: string): Promise<void> {
    if (text !== '' && !this.#stream.write(text)) await once(this.#stream, 'drain');
  }
}

/** Where a command writes, and what it knows of its surroundings. */
export interface Terminal {
  readonly out: Screen;
  readonly err: Screen;
}

export function processTerminal(): Terminal {
  // Whoever reads the output has enough (`| head`): that is no failure, and there is nobody left to tell.
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
  return { out: new Screen(process.stdout), err: new Screen(process.stderr) };
}

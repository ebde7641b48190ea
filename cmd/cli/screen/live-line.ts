import type { Screen } from './terminal.ts';
import { truncate } from './text-width.ts';

const ERASE_LINE = '\r\u001b[K';

/** One line at the bottom of a terminal that is written over and over. On anything else it does nothing. */
export class LiveLine {
  readonly #screen: Screen;
  #isShown = false;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  get isPossible(): boolean {
    return this.#screen.isTty;
  }

  async show(text: string): Promise<void> {
    if (!this.isPossible) return;
    this.#isShown = true;
    // A line that fills the last column would wrap, and could not be erased.
    await this.#screen.write(ERASE_LINE + truncate(text, (this.#screen.width ?? 80) - 1));
  }

  /** To be called before anything else is written to the terminal. */
  async clear(): Promise<void> {
    if (!this.#isShown) return;
    this.#isShown = false;
    await this.#screen.write(ERASE_LINE);
  }
}

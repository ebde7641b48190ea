import { LiveLine } from '../cli/screen/live-line.ts';
import { processTerminal, type Screen } from '../cli/screen/terminal.ts';

const TICK_MS = 100;

/** Shows what is being done, one line a step with its time; on a terminal the line under way counts. */
export class Steps {
  readonly #screen: Screen = processTerminal().out;
  readonly #live = new LiveLine(this.#screen);
  readonly #startedMs = performance.now();

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Does a step, and says in one line that it is done; `describe` tells what came of it. */
  async run<T>(
    title: string,
    work: () => Promise<T>,
    describe: (result: T) => string = () => '',
  ): Promise<T> {
    const startedMs = performance.now();
    const show = (): void => void this.#live.show(`${this.#time(startedMs)}  ${title} …`);
    show();
    const ticker = setInterval(show, TICK_MS);
    try {
      const result = await work();
      await this.#print('green', 'ok', startedMs, title, describe(result));
      return result;
    } catch (error) {
      await this.#print('red', 'failed', startedMs, title, '');
      throw error;
    } finally {
      clearInterval(ticker);
    }
  }

  /** A line that belongs to the step under way, such as a change of the job's status. */
  async note(text: string): Promise<void> {
    await this.#live.clear();
    await this.#screen.write(`                ${this.#screen.paint('dim', text)}\n`);
  }

  async say(text: string): Promise<void> {
    await this.#live.clear();
    await this.#screen.write(`${text}\n`);
  }

  async #print(
    style: 'green' | 'red',
    mark: string,
    startedMs: number,
    title: string,
    result: string,
  ): Promise<void> {
    await this.#live.clear();
    const text = result === '' ? title : `${title}: ${result}`;
    await this.#screen.write(
      `${this.#time(startedMs)}  ${this.#screen.paint(style, mark.padEnd(6))} ${text}\n`,
    );
  }

  #time(startedMs: number): string {
    return `${((performance.now() - startedMs) / 1000).toFixed(2).padStart(6)} s`;
  }
}

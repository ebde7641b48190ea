import { stripVTControlCharacters } from 'node:util';
import type { LogEntry } from '../../src/api/wire.ts';
import { printable, printableLogLine } from './screen/printable.ts';
import type { Screen, Terminal } from './screen/terminal.ts';

/**
 * Writes what a container wrote: its two streams to ours, each by itself. As it came into files and pipes; on a terminal
 * its colours stay, and nothing else that a terminal would act on.
 */
export class LogPrinter {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async print({ stream, line }: LogEntry): Promise<void> {
    const screen = stream === 'stderr' ? this.#terminal.err : this.#terminal.out;
    await screen.write(`${shownOn(screen, line)}\n`);
  }
}

function shownOn(screen: Screen, line: string): string {
  if (!screen.isTty) return line;
  if (screen.hasColour) return printableLogLine(line);
  return stripVTControlCharacters(line).split('\t').map(printable).join('\t');
}

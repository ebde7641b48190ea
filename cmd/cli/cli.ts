import type { Command } from 'commander';
import type { Terminal } from './screen/terminal.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a command works with. */
export interface Cli {
  readonly terminal: Terminal;
  readonly env: Environment;
  /** The wall clock, ms. */
  readonly nowMs: () => number;
  /** Every command there is. */
  readonly verbs: readonly Verb[];
}

/** Adds arguments, options and the action to an empty command. The action throws an `ExitRequest` to end with a code. */
export type DefineVerb = (command: Command, cli: Cli) => void;

/** A command of the client: what the help says of it, and where it is. */
export interface Verb {
  readonly name: string;
  readonly group: string;
  readonly summary: string;
  /** Only the one that was asked for is loaded. */
  readonly load: () => Promise<DefineVerb>;
}

/** How the program is called. */
export const PROGRAM = 'container-manager';

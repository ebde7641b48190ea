import { CodedError } from '../kernel/errors.ts';

export type Source = 'flag' | 'environment' | 'file' | 'default';

/** One thing that is wrong with the configuration. */
export interface Problem {
  /** The setting, or the name nobody knows. */
  readonly key: string;
  readonly source: Source;
  /** What was given; `***` for a secret. */
  readonly value: string;
  /** What is allowed. */
  readonly expected: string;
  /** All of it in one line for people. */
  readonly text: string;
}

/** The configuration cannot be used. `details.problems` holds everything that is wrong with it. */
export class ConfigError extends CodedError<'invalid_config'> {
  override readonly name = 'ConfigError';

  constructor(problems: readonly Problem[]) {
    super('invalid_config', `invalid config: ${problems.map(({ text }) => text).join('\n')}`, {
      details: { problems },
    });
  }
}

/** Collects problems. Those that a setting has words of its own for come first: they are what most people run into. */
export class ProblemList {
  readonly #first: Problem[] = [];
  readonly #others: Problem[] = [];

  get isEmpty(): boolean {
    return this.#first.length + this.#others.length === 0;
  }

  get all(): readonly Problem[] {
    return [...this.#first, ...this.#others];
  }

  add(...problems: readonly Problem[]): void {
    this.#others.push(...problems);
  }

  addFirst(problem: Problem): void {
    this.#first.push(problem);
  }
}

/** Longest part of a wrong value that is shown, in characters and in list entries. */
const MAX_SHOWN_LENGTH = 80;
const MAX_SHOWN_ENTRIES = 8;

/** A value as a message may show it: one line, bounded, without control characters. */
export function shown(value: unknown, isSecret: boolean): string {
  if (isSecret) return '***';
  if (Array.isArray(value)) return `[${value.slice(0, MAX_SHOWN_ENTRIES).map(shownScalar).join(', ')}]`;
  return shownScalar(value);
}

function shownScalar(value: unknown): string {
  // What a file nests may be large, or hold itself.
  if (Array.isArray(value)) return '[...]';
  if (typeof value === 'object' && value !== null) return '{...}';
  const text = JSON.stringify(value) ?? String(value);
  const short = text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text;
  return short.replaceAll(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '?');
}

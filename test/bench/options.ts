import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Names of suites; empty means all. */
  readonly only: readonly string[];
  readonly isQuick: boolean;
  readonly profileDir: string | undefined;
}

export const USAGE = `Usage: node test/bench/main.ts [options]

  --only NAME    one suite; may be given again
  --quick        fewer and shorter rounds, under a minute: to see that it works, not to compare
  --profile DIR  CPU profiles of what is measured; the figures are lower then
`;

/** The command line cannot be carried out. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Throws a `UsageError`, also when there is no such suite. */
export function readOptions(argv: readonly string[], suites: readonly string[]): BenchOptions {
  const { only, quick, profile } = parse(argv);
  const unknown = only.find((name) => !suites.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`there is no suite ${unknown}; there are ${suites.join(', ')}`);
  }
  return { only, isQuick: quick, profileDir: profile };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string', multiple: true, default: [] },
        quick: { type: 'boolean', default: false },
        profile: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

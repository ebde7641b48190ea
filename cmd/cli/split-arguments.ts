/** Options that may stand before a command, with a value each. */
const LEADING: ReadonlySet<string> = new Set(['--address', '--token', '--token-file', '--output', '-o']);

export interface SplitArguments {
  /** Options of the client that stand before the command. */
  readonly leading: readonly string[];
  /** The command's name; `undefined` when the arguments are the node's own flags. */
  readonly verb: string | undefined;
  readonly rest: readonly string[];
}

/** Tells a command from the flags of the node, without knowing either: what begins with a dash is no command. */
export function splitArguments(argv: readonly string[]): SplitArguments {
  let index = 0;
  for (let next = argv[index]; next !== undefined; next = argv[index]) {
    const [name = ''] = next.split('=', 1);
    if (LEADING.has(next)) index += 2;
    else if (next.startsWith('--') && LEADING.has(name)) index += 1;
    else break;
  }
  const verb = argv[index];
  const leading = argv.slice(0, index);
  if (verb === undefined || verb.startsWith('-'))
    return { leading, verb: undefined, rest: argv.slice(index) };
  return { leading, verb, rest: argv.slice(index + 1) };
}

/** Whether errors are to be JSON, told without parsing: what cannot be parsed is an error, too. */
export function wantsJsonErrors(argv: readonly string[], outputVariable: string | undefined): boolean {
  const isJson = (value: string | undefined): boolean => value === 'json' || value === 'ndjson';
  const end = argv.indexOf('--');
  const own = end === -1 ? argv : argv.slice(0, end);
  for (const [index, argument] of own.entries()) {
    const [name = '', value] = argument.split('=', 2);
    if (name !== '--output' && name !== '-o') continue;
    return isJson(value ?? own[index + 1]);
  }
  return isJson(outputVariable);
}

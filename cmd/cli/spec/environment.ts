import { readFileSync } from 'node:fs';
import { messageOf } from '../../../src/kernel/errors.ts';
import type { Environment } from '../cli.ts';
import { UsageError } from '../cli-error.ts';

/** Most characters that a file of variables may have: the node takes less than that. */
const MAX_FILE_CHARS = 1024 * 1024;

/**
 * The variables of the container. Files come first, in the order they were given, then single ones; the last of a name
 * counts. A name alone takes the value it has here, and is left out where it has none.
 */
export function readEnvironment(
  options: { readonly env?: readonly string[]; readonly envFile?: readonly string[] },
  own: Environment,
): Record<string, string> {
  const variables = new Map<string, string>();
  const add = (text: string, source: string): void => {
    const equals = text.indexOf('=');
    const name = equals === -1 ? text : text.slice(0, equals);
    if (name === '' || /\s/.test(name))
      throw new UsageError(`${source}: a variable must be NAME=VALUE or NAME`);
    const value = equals === -1 ? own[name] : text.slice(equals + 1);
    if (value !== undefined) variables.set(name, value);
  };
  for (const file of options.envFile ?? []) {
    for (const { text, number } of linesOf(file)) add(text, `${file}:${number}`);
  }
  for (const text of options.env ?? []) add(text, '--env');
  return Object.fromEntries(variables);
}

/** The lines that say something, numbered as an editor does. Values are taken as they stand: quotes are part of them. */
function linesOf(file: string): readonly { text: string; number: number }[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--env-file cannot be read: ${messageOf(error)}`);
  }
  if (content.length > MAX_FILE_CHARS) throw new UsageError(`--env-file ${file} is longer than 1 MiB`);
  return content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line, index) => ({ text: line.trimStart(), number: index + 1 }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
}

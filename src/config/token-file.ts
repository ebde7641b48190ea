import { messageOf } from '../kernel/errors.ts';
import { readBoundedFile } from './bounded-file.ts';
import type { Problem, Source } from './problem.ts';
import { tokenOf, type Token } from './token-type.ts';

/** Any right for the group or for others. */
const SHARED_MODE = 0o077;

/** The tokens of a file with one `NAME SCOPE TOKEN` per line; empty lines and those that begin with `#` are skipped. */
export function readTokenFile(
  file: string,
  source: Source,
): { tokens: readonly Token[]; problems: readonly Problem[] } {
  const tokens: Token[] = [];
  const problems: Problem[] = [];
  const refuse = (why: string): void => {
    const expected = 'a file that only its owner may read, with one `NAME SCOPE TOKEN` per line';
    const text = `auth.token_file: cannot use ${file}: ${why}`;
    problems.push({ key: 'auth.token_file', source, value: file, expected, text });
  };
  try {
    const { text, mode } = readBoundedFile(file);
    if ((mode & SHARED_MODE) !== 0) refuse(`other users have rights on it; run: chmod 600 ${file}`);
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
      const token = tokenOf(line.trim().split(/[ \t]+/));
      if (token === undefined)
        refuse(`line ${index + 1} is not NAME read|full TOKEN, with a token of 43 to 512 characters`);
      else tokens.push(token);
    }
  } catch (error) {
    refuse(messageOf(error));
  }
  return { tokens, problems };
}

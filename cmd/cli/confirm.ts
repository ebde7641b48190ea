import { createInterface } from 'node:readline';
import { ExitRequest, UsageError } from './cli-error.ts';
import type { Cli } from './cli.ts';
import { EXIT_CODES } from './exit-codes.ts';

/** Asks on a terminal. Only `y` or `yes` is a yes; an end of the input is not. */
export async function confirm(
  question: string,
  { input, output }: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const lines = createInterface({ input, output });
  lines.once('close', () => resolve(''));
  lines.question(`${question} [y/N] `, resolve);
  const answer = await promise;
  lines.close();
  return /^y(?:es)?$/i.test(answer.trim());
}

/** Ends the program unless somebody says yes. Where nobody can be asked, `consequence` says why `--yes` is needed. */
export async function confirmed(
  question: string,
  consequence: string,
  { terminal: { err } }: Cli,
): Promise<void> {
  if (!process.stdin.isTTY || !err.isTty) throw new UsageError(consequence, 'add --yes if that is meant');
  if (await confirm(question, { input: process.stdin, output: process.stderr })) return;
  await err.write('Nothing was changed.\n');
  throw new ExitRequest(EXIT_CODES.failed);
}

import { createInterface } from 'node:readline';

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

import { UsageError } from '../cli-error.ts';

/** A JSON array of strings, or the text as the only word. */
export function commandWords(text: string, name: string): string[] {
  return text.startsWith('[') ? jsonWords(text, name) : [text];
}

/** A JSON array of strings, or the text as a command for the container's shell. */
export function shellCommand(text: string, name: string): string[] {
  return text.startsWith('[') ? jsonWords(text, name) : ['/bin/sh', '-c', text];
}

function jsonWords(text: string, name: string): string[] {
  const words = parse(text);
  const areWords =
    Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string');
  if (areWords) return words as string[];
  throw new UsageError(
    `${name} must be a JSON array of strings where it begins with [, such as ["/bin/app","-v"]`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

import { createHash } from 'node:crypto';

const HASH_DIGITS = 8;

/** What a client calls one of its files on the server. */
export function serverFileName(basename: string, content: Buffer): string {
  const hash = createHash('sha256').update(content).update(basename).digest('hex');
  return `input_${hash.slice(0, HASH_DIGITS)}_${basename}`;
}

/** The text of an input file with each name replaced wherever it stands, be it in the middle of a word. */
export function replaceReferences(text: string, serverNames: ReadonlyMap<string, string>): string {
  return [...serverNames].reduce(
    (replaced, [name, serverName]) => replaced.replaceAll(name, serverName),
    text,
  );
}

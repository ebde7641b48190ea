import { StringDecoder } from 'node:string_decoder';
import { UnreadableReplyError } from './reply-errors.ts';

/** Longest line that is taken: an event carries all labels of its container. */
export const MAX_LINE_LENGTH = 1024 ** 2;

/** The JSON values of a stream, one per line. Fails at the first line that is none, or is too long. */
export async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_LENGTH) throw tooLong();
    for (const line of lines) {
      if (line.length > MAX_LINE_LENGTH) throw tooLong();
      if (line.trim() !== '') yield parse(line);
    }
  }
  if (rest.trim() !== '') yield parse(rest);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new UnreadableReplyError('the engine sent a line that is not JSON', { cause: error });
  }
}

function tooLong(): UnreadableReplyError {
  return new UnreadableReplyError(`the engine sent a line of more than ${MAX_LINE_LENGTH} characters`);
}

import type { LogChunk } from '../driver.ts';
import { UnreadableReplyError } from './reply-errors.ts';

/** Type of stream, three zeros, length of what follows (big endian). */
const HEADER_BYTES = 8;
/** The engine frames lines or pieces of them; what claims to be larger is not a frame. */
export const MAX_FRAME_BYTES = 16 * 1024 ** 2;

const STREAMS: ReadonlyMap<number, LogChunk['stream']> = new Map([
  [1, 'stdout'],
  [2, 'stderr'],
]);

/**
 * Takes the engine's two interleaved streams apart. Pieces are handed on as they arrive, so that no frame is ever
 * held as a whole. Fails when a header makes no sense, and when the stream ends within a frame.
 */
export async function* demultiplex(chunks: AsyncIterable<Buffer>): AsyncIterable<LogChunk> {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerBytes = 0;
  let remainingBytes = 0;
  let stream: LogChunk['stream'] = 'stdout';
  for await (const chunk of chunks) {
    let offset = 0;
    while (offset < chunk.length) {
      if (remainingBytes > 0) {
        const data = chunk.subarray(offset, offset + remainingBytes);
        offset += data.length;
        remainingBytes -= data.length;
        yield { stream, data };
        continue;
      }
      const copied = chunk.copy(header, headerBytes, offset, offset + HEADER_BYTES - headerBytes);
      offset += copied;
      headerBytes += copied;
      if (headerBytes < HEADER_BYTES) break;
      headerBytes = 0;
      ({ stream, remainingBytes } = readHeader(header));
    }
  }
  if (headerBytes > 0 || remainingBytes > 0)
    throw new UnreadableReplyError('the log stream ended within a frame');
}

function readHeader(header: Buffer): { stream: LogChunk['stream']; remainingBytes: number } {
  const stream = STREAMS.get(header.readUInt8(0));
  const remainingBytes = header.readUInt32BE(4);
  if (stream === undefined || header.readUIntBE(1, 3) !== 0) {
    throw new UnreadableReplyError('the log stream has a frame that is neither stdout nor stderr');
  }
  if (remainingBytes > MAX_FRAME_BYTES) {
    throw new UnreadableReplyError(`the log stream has a frame of more than ${MAX_FRAME_BYTES} bytes`);
  }
  return { stream, remainingBytes };
}

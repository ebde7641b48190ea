import { randomBytes } from 'node:crypto';

/** One system call serves many draws. */
const BLOCK_BYTES = 4096;
let block = Buffer.alloc(0);
let offset = 0;

/** Fills `target` from `start` on with random bytes fit for keys and nonces, at most 4,096. Each is handed out once. */
export function fillRandom(target: Buffer, start = 0): Buffer {
  const byteCount = target.length - start;
  if (offset + byteCount > block.length) {
    block = randomBytes(BLOCK_BYTES);
    offset = 0;
  }
  block.copy(target, start, offset, offset + byteCount);
  offset += byteCount;
  return target;
}

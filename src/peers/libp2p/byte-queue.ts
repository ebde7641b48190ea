/** Kept for what comes next when all bytes are taken; more would be held by every stream that was busy once. */
const KEPT_BYTES = 4 * 1024;

/**
 * Bytes in the order they came, taken from the front. They are copied, since whoever sends byte by byte would have each of them hold
 * the buffer that it came in.
 */
export class ByteQueue {
  #bytes = new Uint8Array(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The byte at `index`, which must be there. */
  at(index: number): number {
    if (index >= this.length) throw new RangeError(`there is no byte ${index}`);
    return this.#bytes[this.#start + index] as number;
  }

  /** The first `count` bytes, which must be there, as a copy. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.slice(this.#start, this.#start + count);
    this.#start += count;
    if (this.length > 0) return taken;
    this.#start = 0;
    this.#end = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(0);
    return taken;
  }

  /** Doubled where half would not do, so that each byte is moved a few times at most, however small the pieces. */
  #makeRoom(added: number): void {
    const needed = this.length + added;
    const kept = this.#bytes.subarray(this.#start, this.#end);
    if (needed * 2 > this.#bytes.length) this.#bytes = new Uint8Array(needed * 2);
    this.#bytes.set(kept);
    this.#end = kept.length;
    this.#start = 0;
  }
}

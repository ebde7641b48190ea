/** Bytes in the order they came, taken from the front. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  /** How much of the first chunk is taken. */
  #offset = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The byte at `index`, which must be there. */
  at(index: number): number {
    let position = index + this.#offset;
    for (const chunk of this.#chunks) {
      if (position < chunk.length) return chunk[position] as number;
      position -= chunk.length;
    }
    throw new RangeError(`there is no byte ${index}`);
  }

  /** The first `count` bytes, which must be there, as a copy: a view would keep the whole chunk in memory. */
  take(count: number): Uint8Array {
    const taken = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const chunk = this.#chunks[0] as Uint8Array;
      const part = chunk.subarray(this.#offset, this.#offset + count - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#offset += part.length;
      if (this.#offset === chunk.length) {
        this.#chunks.shift();
        this.#offset = 0;
      }
    }
    this.#length -= count;
    return taken;
  }
}

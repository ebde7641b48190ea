import { hash } from 'node:crypto';

const LANES = 8;
export const DIGEST_BYTES = LANES * 4;

/**
 * A digest of a set of (key, seq) that does not depend on their order, so that each change costs one addition: the sum of
 * their SHA-256, lane by lane. Two that differ show that something is hidden or missing.
 */
export class SetDigest {
  readonly #lanes = new Uint32Array(LANES);

  /** The digest whose `bytes` these are. */
  static from(bytes: Uint8Array): SetDigest {
    const digest = new SetDigest();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let lane = 0; lane < LANES; lane += 1) digest.#lanes[lane] = view.getUint32(lane * 4);
    return digest;
  }

  add(key: string, seq: number): void {
    const hashed = lanesOf(key, seq);
    for (let lane = 0; lane < LANES; lane += 1)
      this.#lanes[lane] = (this.#lanes[lane]! + hashed[lane]!) >>> 0;
  }

  remove(key: string, seq: number): void {
    const hashed = lanesOf(key, seq);
    for (let lane = 0; lane < LANES; lane += 1)
      this.#lanes[lane] = (this.#lanes[lane]! - hashed[lane]!) >>> 0;
  }

  /** Its value now, the same on every machine. */
  bytes(): Uint8Array {
    const bytes = Buffer.alloc(DIGEST_BYTES);
    for (let lane = 0; lane < LANES; lane += 1) bytes.writeUInt32BE(this.#lanes[lane]!, lane * 4);
    return bytes;
  }

  equals(bytes: Uint8Array): boolean {
    return Buffer.compare(this.bytes(), bytes) === 0;
  }
}

function lanesOf(key: string, seq: number): number[] {
  const bytes = hash('sha256', `${seq}\n${key}`, 'buffer');
  return Array.from({ length: LANES }, (_, lane) => bytes.readUInt32BE(lane * 4));
}

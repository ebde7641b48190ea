import { createHash } from 'node:crypto';

/** Numbers from 0 to below 1, the same ones for the same seed. */
export function seededRandom(seed: number): () => number {
  let drawn = 0;
  return () => {
    const digest = createHash('sha256').update(`${seed}/${drawn}`).digest();
    drawn += 1;
    return digest.readUInt32LE() / 2 ** 32;
  };
}

/** The same, for whoever draws millions of them: xorshift, 32 bits (Marsaglia, Journal of Statistical Software 8/14, 2003). */
export function quickRandom(seed: number): () => number {
  let state = createHash('sha256').update(String(seed)).digest().readUInt32LE() || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

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

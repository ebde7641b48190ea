import { randomInt } from 'node:crypto';

/** Random choices that a seed repeats. */
export interface SeededRandom {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  pick<T>(items: readonly T[]): T;
}

/**
 * The random choices of one test. Prints the seed; `FAULTS_SEED` replays it, as far as the operating system's own
 * timing lets anything be replayed.
 */
export function seededRandom(what: string): SeededRandom {
  const given = process.env['FAULTS_SEED'];
  const seed = given === undefined ? randomInt(2 ** 31) : Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`FAULTS_SEED must be a whole number, not ${given}`);
  console.log(`${what}: FAULTS_SEED=${seed}`);
  return fromSeed(seed);
}

/** Mulberry32: small, and good enough to choose faults with. */
function fromSeed(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  const pick = <T>(items: readonly T[]): T => {
    const item = items[int(0, items.length - 1)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  };
  return { seed, next, int, pick };
}

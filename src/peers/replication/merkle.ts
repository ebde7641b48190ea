import { hash } from 'node:crypto';

/** Hashes are SHA-256. A leaf and an inner node are told apart by their first byte (RFC 6962, section 2.1). */
export const HASH_BYTES = 32;
const LEAF_PREFIX = Buffer.of(0);
const NODE_PREFIX = Buffer.of(1);

/** The root over no leaf at all. */
export const EMPTY_ROOT: Uint8Array = Buffer.alloc(HASH_BYTES);

/** Most leaves under one root, and so most steps from a leaf to it. */
export const MAX_LEAVES = 1024;
export const MAX_PATH_LENGTH = 10;

/** A tree over leaves in order; where a level has an odd end, that one moves up as it is. */
export class MerkleTree {
  readonly #levels: Uint8Array[][];

  constructor(leaves: readonly Uint8Array[]) {
    let level = leaves.map(hashLeaf);
    this.#levels = [level];
    while (level.length > 1) {
      level = parents(level);
      this.#levels.push(level);
    }
  }

  get root(): Uint8Array {
    return this.#levels.at(-1)?.[0] ?? EMPTY_ROOT;
  }

  /** The hashes beside the way from a leaf to the root, from the bottom up. */
  path(index: number): Uint8Array[] {
    const path: Uint8Array[] = [];
    let place = index;
    for (const level of this.#levels.slice(0, -1)) {
      const sibling = level[place ^ 1];
      if (sibling !== undefined) path.push(sibling);
      place >>= 1;
    }
    return path;
  }
}

/** The root that a leaf at `index` of `count` and its path lead to; undefined when the path has another length than its place demands. */
export function rootOf(
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  let node = hashLeaf(leaf);
  let place = index;
  let used = 0;
  for (let width = count; width > 1; width = Math.ceil(width / 2)) {
    const hasSibling = (place ^ 1) < width;
    if (hasSibling) {
      const sibling = path[used++];
      if (sibling?.length !== HASH_BYTES) return undefined;
      node = place % 2 === 0 ? hashNode(node, sibling) : hashNode(sibling, node);
    }
    place >>= 1;
  }
  return used === path.length ? node : undefined;
}

function parents(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index] as Uint8Array;
    const right = level[index + 1];
    above.push(right === undefined ? left : hashNode(left, right));
  }
  return above;
}

function hashLeaf(leaf: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([LEAF_PREFIX, leaf]));
}

function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([NODE_PREFIX, left, right]));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

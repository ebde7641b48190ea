import { createHash, randomBytes } from 'node:crypto';
import { readOrCreateSecretFile } from './secret-file.ts';

/** What the members of a cluster share, and nobody else has. */
export interface ClusterKey {
  readonly key: Uint8Array;
  /** Names the cluster without giving the key away: 16 hex digits. */
  readonly clusterId: string;
}

const KEY_BYTES = 32;

/** Loads the key from `file` (64 hex digits, mode 0600), or makes one: a node without a key is a cluster of its own. */
export function loadClusterKey(file: string): ClusterKey {
  const text = readOrCreateSecretFile(file, () => `${randomBytes(KEY_BYTES).toString('hex')}\n`).trim();
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new Error(`${file} holds no cluster key: 64 hex digits are expected`);
  const key = Buffer.from(text, 'hex');
  return {
    key,
    clusterId: createHash('sha256')
      .update('container-manager cluster')
      .update(key)
      .digest('hex')
      .slice(0, 16),
  };
}

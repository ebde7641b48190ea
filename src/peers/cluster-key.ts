import { createHash, randomBytes } from 'node:crypto';
import { readOrCreateSecretFile, readSecretFile } from './secret-file.ts';

/** What the members of a cluster share, and nobody else has. */
export interface ClusterKey {
  readonly key: Uint8Array;
  /** Names the cluster without giving the key away: 16 hex digits. */
  readonly clusterId: string;
}

export const CLUSTER_KEY_BYTES = 32;

/** The file's name in the data dir of a node that shares none. */
export const CLUSTER_KEY_FILE = 'cluster.key';

/**
 * Loads the key from `file` (64 hex digits, mode 0600), or makes one: a node without a key is a cluster of its own.
 * `first` is the key that is written where there is none.
 */
export function loadClusterKey(file: string, first?: Uint8Array): ClusterKey {
  return parse(
    file,
    readOrCreateSecretFile(file, () => clusterKeyText(first ?? newClusterKey())),
  );
}

/** The key in the file; undefined when there is none yet. */
export function readClusterKey(file: string): ClusterKey | undefined {
  const text = readSecretFile(file);
  return text === undefined ? undefined : parse(file, text);
}

export function newClusterKey(): Uint8Array {
  return randomBytes(CLUSTER_KEY_BYTES);
}

/** What the file of a key holds. */
export function clusterKeyText(key: Uint8Array): string {
  return `${Buffer.from(key).toString('hex')}\n`;
}

export function clusterKeyOf(key: Uint8Array): ClusterKey {
  const hash = createHash('sha256').update('container-manager cluster').update(key);
  return { key, clusterId: hash.digest('hex').slice(0, 16) };
}

function parse(file: string, text: string): ClusterKey {
  const digits = text.trim();
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw new Error(`${file} holds no cluster key: 64 hex digits are expected`);
  return clusterKeyOf(Buffer.from(digits, 'hex'));
}

import { join } from 'node:path';
import { CodedError, messageOf } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import {
  CLUSTER_KEY_FILE,
  clusterKeyOf,
  clusterKeyText,
  loadClusterKey,
  type ClusterKey,
} from './cluster-key.ts';
import { decodeJoinToken, type JoinToken } from './join-token.ts';
import { keptSecrets, replaceSecretFile } from './secret-file.ts';

export interface MembershipOptions {
  readonly dataDir: string;
  /** A key that several nodes share as one file; without, it is in the data dir. */
  readonly keyFile?: string | undefined;
  readonly joinToken?: string | undefined;
  readonly nodeId: NodeId;
  readonly log: { info(facts: object, message: string): void };
}

/** Which cluster this node is a member of, and who of it is known. */
export interface Membership extends ClusterKey {
  /** Addresses of members, each with the id of who is to answer there. */
  readonly bootstrap: readonly string[];
}

/** The key of the cluster cannot be had. The message says what to do. */
export class MembershipError extends CodedError<
  'cluster_key_unusable' | 'other_cluster_key' | 'old_join_token'
> {
  override readonly name = 'MembershipError';
}

/**
 * Loads the key of the cluster; makes it where there is none, or takes it from the token. A node that was alone keeps
 * its own key under a number when it takes another one. Fails with a `JoinTokenError` or a `MembershipError`.
 */
export function loadMembership({ dataDir, keyFile, joinToken, nodeId, log }: MembershipOptions): Membership {
  const token = joinToken === undefined ? undefined : decodeJoinToken(joinToken);
  const file = keyFile ?? join(dataDir, CLUSTER_KEY_FILE);
  try {
    const own = loadClusterKey(file, token?.key);
    if (token === undefined) return { ...own, bootstrap: [] };
    const bootstrap = bootstrapOf(token, nodeId);
    const joined = clusterKeyOf(token.key);
    if (Buffer.from(own.key).equals(token.key)) return { ...own, bootstrap };
    if (keyFile !== undefined) throw otherKeyError(keyFile);
    const kept = takeKey(file, token.key);
    log.info(
      { cluster: joined.clusterId, left: own.clusterId, kept },
      'cluster joined with the key of the join token; the key until now is kept',
    );
    return { ...joined, bootstrap };
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new MembershipError('cluster_key_unusable', `the cluster key cannot be used: ${messageOf(error)}`, {
      cause: error,
      details: { file },
    });
  }
}

function takeKey(file: string, key: Uint8Array): string {
  const text = clusterKeyText(key);
  // A node whose command line has an old token for ever must not undo the rotation that replaced it.
  const old = keptSecrets(file).find(({ content }) => content === text);
  if (old === undefined) return replaceSecretFile(file, text);
  throw new MembershipError(
    'old_join_token',
    `the join token holds a key that was replaced here by a newer one and is kept as ${old.file}: ` +
      `leave the token out or give a new one; to go back to the old key all the same, remove ${old.file}`,
    { details: { file: old.file } },
  );
}

function otherKeyError(keyFile: string): MembershipError {
  return new MembershipError(
    'other_cluster_key',
    `the join token is of another cluster than the key in ${keyFile}, which other nodes may use as well: ` +
      `leave out one of join and cluster_key_file, or move ${keyFile} away`,
    { details: { file: keyFile } },
  );
}

/** Nobody joins by way of oneself. */
function bootstrapOf(token: JoinToken, nodeId: NodeId): readonly string[] {
  if (token.nodeId === nodeId) return [];
  return token.addresses.map((address) => `${address}/p2p/${token.nodeId}`);
}

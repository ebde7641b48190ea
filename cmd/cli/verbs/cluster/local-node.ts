import { existsSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../../../src/config/settings.ts';
import { CodedError, messageOf } from '../../../../src/kernel/errors.ts';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { CLUSTER_KEY_FILE, readClusterKey, type ClusterKey } from '../../../../src/peers/cluster-key.ts';
import { loadIdentity } from '../../../../src/peers/identity.ts';
import type { Cli } from '../../cli.ts';
import { PROGRAM } from '../../cli.ts';
import { readConfig } from '../../read-config.ts';

export interface LocalNodeOptions {
  readonly config?: string;
  readonly dataDir?: string;
  readonly clusterKeyFile?: string;
}

/** What the files of the node on this host say of it, be it running or not. */
export interface LocalNode {
  readonly config: Config;
  readonly nodeId: NodeId;
  readonly keyFile: string;
  readonly cluster: ClusterKey;
}

/** The files of a node are not there, or not for this user. */
export class LocalNodeError extends CodedError<'not_found' | 'forbidden' | 'unusable'> {
  override readonly name = 'LocalNodeError';

  constructor(code: LocalNodeError['code'], message: string, nextStep: string) {
    super(code, message, { details: { next_step: nextStep } });
  }
}

/** Reads the identity and the key of the node on this host. Makes nothing. Fails with a `LocalNodeError`. */
export function readLocalNode(options: LocalNodeOptions, { env }: Cli): LocalNode {
  const { config } = readConfig({
    env,
    flags: { 'data-dir': options.dataDir, 'cluster-key-file': options.clusterKeyFile },
    ...(options.config !== undefined && { configFile: options.config }),
  });
  const { data_dir: dataDir, cluster_key_file: sharedKeyFile } = config;
  const isDirectory = reading(dataDir, () => statSync(dataDir, { throwIfNoEntry: false })?.isDirectory());
  if (isDirectory !== true) {
    const message = `there is no data dir ${dataDir}`;
    throw new LocalNodeError(
      'not_found',
      message,
      'start the node once, or say with --data-dir where its data is',
    );
  }
  const identityFile = join(dataDir, 'identity.key');
  const keyFile = sharedKeyFile ?? join(dataDir, CLUSTER_KEY_FILE);
  const cluster = reading(keyFile, () => readClusterKey(keyFile));
  // Looked at first, because loading an identity makes it where there is none.
  if (!reading(dataDir, () => existsSync(identityFile)) || cluster === undefined) {
    const message =
      cluster === undefined ? `there is no key yet in ${keyFile}` : `no node has been in ${dataDir} yet`;
    throw new LocalNodeError('not_found', message, `start the node once: ${PROGRAM}`);
  }
  const { nodeId } = reading(identityFile, () => loadIdentity(identityFile));
  return { config, nodeId, keyFile, cluster };
}

/** What a file holds, or why this user cannot know. */
export function reading<Value>(path: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') {
      throw new LocalNodeError(
        'unusable',
        messageOf(error),
        'mend it, or name another with --cluster-key-file',
      );
    }
    const { username, uid } = userInfo();
    const message = `user ${username} (${uid}) has no access to ${path}`;
    throw new LocalNodeError(
      'forbidden',
      message,
      'run this as the user that the node runs as, such as with sudo',
    );
  }
}

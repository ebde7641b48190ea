import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { writeAddressFile } from '../../../src/peers/address-file.ts';
import { clusterKeyText, readClusterKey, type ClusterKey } from '../../../src/peers/cluster-key.ts';
import { loadIdentity, peerIdOf } from '../../../src/peers/identity.ts';
import { decodeJoinToken, encodeJoinToken } from '../../../src/peers/join-token.ts';
import { loadMembership } from '../../../src/peers/membership.ts';
import { cli } from './cli-process.ts';

const ADDRESS = '/ip4/192.0.2.7/tcp/4001';

let directory: string;
let dataDir: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-cluster-'));
  dataDir = join(directory, 'data');
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
});

/** Leaves behind what a node does that has been started once. */
function startedOnce(keyFile?: string): { nodeId: string; cluster: ClusterKey } {
  mkdirSync(dataDir);
  const { nodeId } = loadIdentity(join(dataDir, 'identity.key'));
  return { nodeId, cluster: loadMembership({ dataDir, keyFile, nodeId, log: console }) };
}

describe('cluster token', () => {
  it('is one line that holds the key, and where the running node said it is', async () => {
    const { nodeId, cluster } = startedOnce();
    writeAddressFile(dataDir, [`${ADDRESS}/p2p/${nodeId}`]);
    const { code, stdout, stderr } = await cli(['cluster', 'token', '--data-dir', dataDir]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^cm1\.\S+\n$/);
    expect(decodeJoinToken(stdout.trim())).toEqual({ key: cluster.key, nodeId, addresses: [ADDRESS] });
  });

  it('takes the addresses that are given, and the key of a shared file', async () => {
    const keyFile = join(directory, 'shared.key');
    const { cluster } = startedOnce(keyFile);
    const addresses = ['/dns4/a.example/tcp/1', '/dns4/b.example/tcp/2'];
    const { stdout } = await cli(
      [
        'cluster',
        'token',
        '--cluster-key-file',
        keyFile,
        ...addresses.flatMap((text) => ['--address', text]),
      ],
      { env: { CONTAINER_MANAGER_DATA_DIR: dataDir } },
    );
    expect(decodeJoinToken(stdout.trim())).toMatchObject({ key: cluster.key, addresses });
  });

  it('knows the settings of the node from its file', async () => {
    startedOnce();
    const file = join(directory, 'node.yaml');
    writeFileSync(file, `data_dir: ${dataDir}\npeers: { announce: [/dns4/node.example/tcp/4001] }\n`);
    const { stdout } = await cli(['cluster', 'token', '--config', file]);
    expect(decodeJoinToken(stdout.trim()).addresses).toEqual(['/dns4/node.example/tcp/4001']);
  });

  it('warns where nobody else could use it', async () => {
    startedOnce();
    const run = (env: Record<string, string>): ReturnType<typeof cli> =>
      cli(['cluster', 'token', '--data-dir', dataDir, '--address', '/ip4/127.0.0.1/tcp/1'], { env });
    expect((await run({})).stderr).toContain('nodes on other hosts cannot use these addresses');
    expect((await run({ CONTAINER_MANAGER_PEERS_ENABLED: 'false' })).stderr).toContain(
      'peers.enabled is false',
    );
  });

  it.each<[string, string[], number, RegExp]>([
    [
      'an address that is none',
      ['--address', '192.0.2.7:4001'],
      2,
      /addresses such as \/ip4\/192.0.2.7\/tcp\/4001/,
    ],
    ['an option of another action', ['--yes'], 2, /--yes does not go with token/],
  ])('refuses %s', async (_what, args, expected, message) => {
    startedOnce();
    const { code, stdout, stderr } = await cli(['cluster', 'token', '--data-dir', dataDir, ...args]);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it('makes nothing where no node has been, and says what to do', async () => {
    const missing = await cli(['cluster', 'token', '--data-dir', dataDir]);
    expect(missing.code).toBe(3);
    expect(missing.stderr).toContain(`there is no data dir ${dataDir}`);
    expect(missing.stderr).toContain('say with --data-dir where its data is');
    mkdirSync(dataDir);
    const empty = await cli(['cluster', 'token', '--data-dir', dataDir]);
    expect(empty.code).toBe(3);
    expect(empty.stderr).toContain(`there is no key yet in ${join(dataDir, 'cluster.key')}`);
    expect(empty.stderr).toContain('start the node once');
    writeFileSync(join(dataDir, 'cluster.key'), clusterKeyText(Buffer.alloc(32)), { mode: 0o600 });
    const noIdentity = await cli(['cluster', 'token', '--data-dir', dataDir]);
    expect(noIdentity.stderr).toContain(`no node has been in ${dataDir} yet`);
    expect(readdirSync(dataDir)).toEqual(['cluster.key']);
  });

  it('is not made of a key that others can read', async () => {
    startedOnce();
    chmodSync(join(dataDir, 'cluster.key'), 0o644);
    const { code, stdout, stderr } = await cli(['cluster', 'token', '--data-dir', dataDir]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('run: chmod 600');
  });
});

describe('cluster id', () => {
  it('says who the node is, and gives nothing away', async () => {
    const { nodeId, cluster } = startedOnce();
    const { stdout } = await cli(['cluster', 'id', '--data-dir', dataDir]);
    expect(stdout).toBe(
      `Cluster  ${cluster.clusterId}\nNode     ${nodeId}\nKey      ${join(dataDir, 'cluster.key')}\n`,
    );
    const json = await cli(['cluster', 'id', '--data-dir', dataDir, '--output', 'json']);
    expect(JSON.parse(json.stdout)).toEqual({
      cluster_id: cluster.clusterId,
      node_id: nodeId,
      key_file: join(dataDir, 'cluster.key'),
    });
  });
});

describe('cluster rotate-key', () => {
  it('replaces the key, keeps the old one, and says what is to be done', async () => {
    const { cluster } = startedOnce();
    const { code, stdout } = await cli(['cluster', 'rotate-key', '--yes', '--data-dir', dataDir]);
    expect(code).toBe(0);
    const file = join(dataDir, 'cluster.key');
    const changed = readClusterKey(file);
    expect(changed?.clusterId).not.toBe(cluster.clusterId);
    expect(readFileSync(`${file}.1`, 'utf8')).toBe(clusterKeyText(cluster.key));
    expect(stdout).toContain(`its id is ${changed?.clusterId} now`);
    expect(stdout).toContain(`kept as ${file}.1`);
    expect(stdout).toContain('container-manager cluster token');
    for (const { key } of [cluster, changed ?? cluster])
      expect(stdout).not.toContain(Buffer.from(key).toString('hex'));
  });

  it('does nothing unless it is confirmed', async () => {
    const { cluster } = startedOnce();
    const { code, stderr } = await cli(['cluster', 'rotate-key', '--data-dir', dataDir]);
    expect(code).toBe(2);
    expect(stderr).toContain('add --yes if that is meant');
    expect(readClusterKey(join(dataDir, 'cluster.key'))).toEqual({
      key: cluster.key,
      clusterId: cluster.clusterId,
    });
    expect(readdirSync(dataDir)).toEqual(['cluster.key', 'identity.key']);
  });
});

describe('a join token as a setting', () => {
  const token = encodeJoinToken({
    key: Buffer.alloc(32, 7),
    nodeId: peerIdOf(Buffer.alloc(32, 9)),
    addresses: [ADDRESS],
  });
  const parts = token.split('.');
  const mistyped = [parts[0], `A${parts[1]}`, parts[2], parts[3]].join('.');

  it('comes from the environment or a file, and is never printed', async () => {
    const file = join(directory, 'node.yaml');
    writeFileSync(file, `join: ${token}\n`);
    const fromEnv = await cli(['config', 'print', '--with-source'], {
      env: { CONTAINER_MANAGER_JOIN: token },
    });
    const fromFile = await cli(['config', 'print', '--with-source', '--config', file]);
    expect(fromEnv.stdout).toMatch(/^join: "?\*\*\*"? # environment$/m);
    expect(fromFile.stdout).toMatch(/^join: "?\*\*\*"? # file$/m);
    for (const { stdout, stderr } of [fromEnv, fromFile]) expect(stdout + stderr).not.toContain(parts[1]);
  });

  it.each<[string, (file: string) => { args: string[]; env: Record<string, string> }]>([
    ['flag', () => ({ args: ['--join', mistyped], env: {} })],
    ['environment', () => ({ args: [], env: { CONTAINER_MANAGER_JOIN: mistyped } })],
    ['file', (file) => ({ args: ['--config', file], env: {} })],
  ])('with a typo (%s) ends a start before anything is touched', async (source, start) => {
    const file = join(directory, 'node.yaml');
    writeFileSync(file, `join: ${mistyped}\n`);
    const { args, env } = start(file);
    const { code, stdout, stderr } = await cli(args, {
      env: { ...env, CONTAINER_MANAGER_DATA_DIR: dataDir },
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`join (${source}): the join token is mistyped in its key part`);
    expect(stderr).not.toContain(parts[1]);
    expect(readdirSync(directory)).toEqual(['node.yaml']);
  });

  it('with a typo is told by config check', async () => {
    const { code, stderr } = await cli(['config', 'check'], { env: { CONTAINER_MANAGER_JOIN: mistyped } });
    expect(code).toBe(2);
    expect(stderr).toContain('mistyped in its key part');
  });

  it.each([
    ['peers.allow', { CONTAINER_MANAGER_PEERS_ALLOW: '12D3KooWshort' }],
    ['peers.bootstrap', { CONTAINER_MANAGER_PEERS_BOOTSTRAP: '192.0.2.7:4001' }],
  ])('so are other settings of peers: %s', async (key, env) => {
    const { code, stderr } = await cli([], { env: { ...env, CONTAINER_MANAGER_DATA_DIR: dataDir } });
    expect(code).toBe(2);
    expect(stderr).toContain(key);
    expect(readdirSync(directory)).toEqual([]);
  });
});

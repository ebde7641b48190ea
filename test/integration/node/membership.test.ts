import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clusterKeyText } from '../../../src/peers/cluster-key.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { encodeJoinToken } from '../../../src/peers/join-token.ts';
import { FakeEngine, json } from '../../support/fake-engine.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';
import { PATIENCE } from '../../support/patience.ts';
import { cli } from '../cli/cli-process.ts';

const KEY = Buffer.alloc(32, 7);
const TOKEN = encodeJoinToken({
  key: KEY,
  nodeId: peerIdOf(Buffer.alloc(32, 9)),
  addresses: ['/ip4/192.0.2.7/tcp/4001'],
});

let engine: FakeEngine;
let home: NodeHome;

beforeEach(async () => {
  engine = await FakeEngine.start();
  engine.on(
    'GET',
    /^\/version$/,
    json(200, { Version: '20.10.0', ApiVersion: '1.41', MinAPIVersion: '1.12' }),
  );
  engine.on('GET', /^\/containers\/json$/, json(200, []));
  home = await NodeHome.create({ settings: { 'docker.host': engine.host, 'peers.enabled': 'true' } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

const keyFile = (): string => join(home.dataDir, 'cluster.key');

test.each([
  ['a flag', { args: ['--join', TOKEN] }],
  ['the environment', { env: { CONTAINER_MANAGER_JOIN: TOKEN } }],
])('a node takes the key of a token from %s, keeps its own, and never logs either', async (_where, start) => {
  const alone = home.spawn();
  await alone.untilAnswering();
  const own = readFileSync(keyFile(), 'utf8');
  await alone.kill();
  for (let life = 0; life < 2; life += 1) {
    const joined = home.spawn(start);
    await joined.untilAnswering();
    expect(readFileSync(keyFile(), 'utf8')).toBe(clusterKeyText(KEY));
    expect(readFileSync(`${keyFile()}.1`, 'utf8')).toBe(own);
    await joined.kill();
  }
  expect(readdirSync(home.dataDir).filter((name) => name.startsWith('cluster.key'))).toEqual([
    'cluster.key',
    'cluster.key.1',
  ]);
  expect(home.log().match(/cluster joined with the key of the join token/g)).toHaveLength(1);
  for (const secret of [TOKEN, own.trim(), KEY.toString('hex')]) expect(home.log()).not.toContain(secret);
});

test('a token of another cluster than the shared key ends a start, and says what to do', async () => {
  const shared = join(home.directory, 'shared.key');
  writeFileSync(shared, clusterKeyText(Buffer.alloc(32, 8)), { mode: 0o600 });
  const node = home.spawn({ args: ['--join', TOKEN, '--cluster-key-file', shared] });
  expect(await node.exited).toEqual({ code: 1, signal: null });
  expect(home.log()).toContain(`move ${shared} away`);
  expect(home.log()).not.toMatch(/^\s+at /m);
  expect(readFileSync(shared, 'utf8')).toBe(clusterKeyText(Buffer.alloc(32, 8)));
});

test('a drained node refuses jobs over a kill and a start, until it is undrained', async () => {
  const first = await home.start();
  expect((await cli(['node', 'drain'], { port: home.port })).code).toBe(0);
  await first.kill();
  const second = await home.start();
  await expect(second.rpc('ContainerService.Create', { image: 'app' })).rejects.toMatchObject({
    code: -32015,
    reason: 'draining',
    message: expect.stringContaining('container-manager node undrain') as string,
  });
  expect(await second.rpc('NodeService.Info', {})).toMatchObject({ draining: true });
  expect((await cli(['queue'], { port: home.port })).stdout).toContain('draining');
  const refused = await cli(['run', 'app'], { port: home.port });
  expect(refused.stderr).toContain('undrain it, or ask another node');
  expect((await cli(['node', 'undrain'], { port: home.port })).stdout).toContain('open');
  expect(await second.rpc('ContainerService.Create', { image: 'app' })).toMatchObject({
    message: 'Job created successfully',
  });
});

test('what a node that has run once prints is a token that another one takes', async () => {
  await (await home.start()).kill();
  const args = ['cluster', 'token', '--data-dir', home.dataDir, '--address', '/ip4/192.0.2.7/tcp/4001'];
  const token = (await cli(args)).stdout.trim();
  await using other = await NodeHome.create({
    settings: { 'docker.host': engine.host, 'peers.enabled': 'true' },
  });
  const node = await other.start({ env: { CONTAINER_MANAGER_JOIN: token } });
  const { cluster_id: joined } = await node.rpc('NodeService.Info', {});
  expect((await cli(['cluster', 'id', '--data-dir', home.dataDir])).stdout).toContain(joined);
  expect(readFileSync(join(other.dataDir, 'cluster.key'), 'utf8')).toBe(readFileSync(keyFile(), 'utf8'));
});

test('a node joins a running one with its token, and is denied and allowed again', async () => {
  const first = await home.start();
  const token = (await cli(['cluster', 'token', '--data-dir', home.dataDir])).stdout.trim();
  await using other = await NodeHome.create({
    settings: { 'docker.host': engine.host, 'peers.enabled': 'true' },
  });
  const second = await other.start({ args: ['--join', token] });
  const { node_id: firstId } = await first.rpc('PeerService.Identity', {});
  const { node_id: secondId } = await second.rpc('PeerService.Identity', {});
  const statusAt = async (node: NodeProcess): Promise<unknown> =>
    (await node.rpc('PeerService.List', {})).peers.map(({ node_id, status }) => [node_id, status]);
  await expect.poll(() => statusAt(first), PATIENCE).toEqual([[secondId, 'connected']]);
  await expect.poll(() => statusAt(second), PATIENCE).toEqual([[firstId, 'connected']]);
  const ping = await cli(['peers', 'ping', firstId.slice(-8)], { port: other.port });
  expect(ping).toMatchObject({ code: 0, stderr: '' });
  expect((await cli(['peers', 'deny', secondId], { port: home.port })).code).toBe(0);
  await expect.poll(() => statusAt(first), PATIENCE).not.toEqual([[secondId, 'connected']]);
  await expect.poll(() => statusAt(second), PATIENCE).not.toEqual([[firstId, 'connected']]);
  expect((await cli(['peers', 'ping', firstId], { port: other.port })).code).toBe(7);
  expect((await cli(['peers', 'allow', secondId], { port: home.port })).code).toBe(0);
  await expect.poll(() => statusAt(second), PATIENCE).toEqual([[firstId, 'connected']]);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { clusterKeyOf, clusterKeyText } from '../../../src/peers/cluster-key.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { encodeJoinToken } from '../../../src/peers/join-token.ts';
import { loadMembership, type Membership, type MembershipOptions } from '../../../src/peers/membership.ts';

const SOURCE = fileURLToPath(new URL('../../../src/peers/', import.meta.url));
const NODE = peerIdOf(Buffer.alloc(32, 1));
const MEMBER = peerIdOf(Buffer.alloc(32, 2));
const PLACE = '/ip4/192.0.2.7/tcp/4001';

let dataDir: string;
let logged: object[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  logged = [];
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
});
const file = (name: string): string => join(dataDir, name);
const content = (name: string): string => readFileSync(file(name), 'utf8');
const keyOf = (filling: number): Buffer => Buffer.alloc(32, filling);
const tokenOf = (filling: number, nodeId = MEMBER): string =>
  encodeJoinToken({ key: keyOf(filling), nodeId, addresses: [PLACE] });

function load(options: Partial<MembershipOptions> = {}): Membership {
  const log = { info: (facts: object) => void logged.push(facts) };
  return loadMembership({ dataDir, nodeId: NODE, log, ...options });
}

describe('membership', () => {
  it('of a node that is told nothing is a cluster of its own, for good', () => {
    const first = load();
    expect(first.bootstrap).toEqual([]);
    expect(first.clusterId).toBe(clusterKeyOf(first.key).clusterId);
    expect(load()).toEqual(first);
  });

  it('comes from a token where there is no key yet', () => {
    const { key, clusterId, bootstrap } = load({ joinToken: tokenOf(7) });
    expect(Buffer.from(key)).toEqual(keyOf(7));
    expect(clusterId).toBe(clusterKeyOf(keyOf(7)).clusterId);
    expect(bootstrap).toEqual([`${PLACE}/p2p/${MEMBER}`]);
    expect(content('cluster.key')).toBe(clusterKeyText(keyOf(7)));
    expect(statSync(file('cluster.key')).mode & 0o777).toBe(0o600);
    expect(load()).toMatchObject({ clusterId });
  });

  it('stays when the node keeps its token in its command line', () => {
    const first = load({ joinToken: tokenOf(7) });
    expect(load({ joinToken: tokenOf(7) })).toEqual(first);
    expect(readdirSync(dataDir)).toEqual(['cluster.key']);
    expect(logged).toEqual([]);
  });

  it('of a lone node changes with a token, and its own key is kept', () => {
    const alone = load();
    const joined = load({ joinToken: tokenOf(7) });
    expect(Buffer.from(joined.key)).toEqual(keyOf(7));
    expect(content('cluster.key')).toBe(clusterKeyText(keyOf(7)));
    expect(content('cluster.key.1')).toBe(clusterKeyText(alone.key));
    expect(statSync(file('cluster.key.1')).mode & 0o777).toBe(0o600);
    expect(logged).toEqual([
      { cluster: joined.clusterId, left: alone.clusterId, kept: file('cluster.key.1') },
    ]);
    load({ joinToken: tokenOf(8) });
    expect(content('cluster.key.2')).toBe(clusterKeyText(keyOf(7)));
    expect(readdirSync(dataDir)).toEqual(['cluster.key', 'cluster.key.1', 'cluster.key.2']);
  });

  it('does not go back to a key that was replaced, unless that is made plain', () => {
    load({ joinToken: tokenOf(7) });
    load({ joinToken: tokenOf(8) });
    expect(() => load({ joinToken: tokenOf(7) })).toThrow(`remove ${file('cluster.key.1')}`);
    expect(content('cluster.key')).toBe(clusterKeyText(keyOf(8)));
    rmSync(file('cluster.key.1'));
    expect(Buffer.from(load({ joinToken: tokenOf(7) }).key)).toEqual(keyOf(7));
  });

  it('goes on where a crash cut its change short: the key is kept, and kept once', () => {
    writeFileSync(file('cluster.key'), clusterKeyText(keyOf(1)), { mode: 0o600 });
    writeFileSync(file('cluster.key.1'), clusterKeyText(keyOf(1)), { mode: 0o600 });
    load({ joinToken: tokenOf(7) });
    expect(content('cluster.key')).toBe(clusterKeyText(keyOf(7)));
    expect(readdirSync(dataDir)).toEqual(['cluster.key', 'cluster.key.1']);
  });

  it('is shared through a file, which the first node makes', () => {
    mkdirSync(file('shared'));
    const keyFile = file('shared/key');
    const first = load({ keyFile });
    expect(load({ keyFile, nodeId: MEMBER }).clusterId).toBe(first.clusterId);
    expect(existsSync(file('cluster.key'))).toBe(false);
    const token = encodeJoinToken({ key: first.key, nodeId: MEMBER, addresses: [PLACE] });
    expect(load({ keyFile, joinToken: token }).bootstrap).toEqual([`${PLACE}/p2p/${MEMBER}`]);
  });

  it('through a shared file is not changed by a token of another cluster', () => {
    const keyFile = file('shared.key');
    load({ keyFile });
    const before = content('shared.key');
    expect(() => load({ keyFile, joinToken: tokenOf(7) })).toThrow(
      expect.objectContaining({
        code: 'other_cluster_key',
        message: expect.stringContaining(`move ${keyFile} away`) as string,
      }),
    );
    expect(content('shared.key')).toBe(before);
  });

  it("does not lead to oneself: a node's own token is fine", () => {
    const { key } = load();
    const token = encodeJoinToken({ key, nodeId: NODE, addresses: [PLACE] });
    expect(load({ joinToken: token }).bootstrap).toEqual([]);
  });

  it('is not touched by a token with a typo', () => {
    const token = tokenOf(7);
    expect(() =>
      load({ joinToken: `${token.slice(0, 9)}${token[9] === 'A' ? 'B' : 'A'}${token.slice(10)}` }),
    ).toThrow('is mistyped in its key part');
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it.each<[string, () => string, string]>([
    ['is in no directory', () => file('missing/key'), 'no such file or directory'],
    [
      'others can read',
      () => {
        writeFileSync(file('open'), clusterKeyText(keyOf(1)));
        chmodSync(file('open'), 0o644);
        return file('open');
      },
      'run: chmod 600',
    ],
    [
      'holds something else',
      () => {
        writeFileSync(file('other'), 'secret', { mode: 0o600 });
        return file('other');
      },
      'holds no cluster key: 64 hex digits are expected',
    ],
  ])('fails with the remedy when the file %s', (_name, make, message) => {
    const keyFile = make();
    expect(() => load({ keyFile })).toThrow(
      expect.objectContaining({
        code: 'cluster_key_unusable',
        message: expect.stringContaining(message) as string,
      }),
    );
  });
});

describe('a cluster key that many nodes make at once', () => {
  it('is the same for all of them, be their process ids the same', async () => {
    const keyFile = file('shared.key');
    const program = `
      Object.defineProperty(process, 'pid', { value: 7 });
      const { loadMembership } = await import(${JSON.stringify(`${SOURCE}membership.ts`)});
      const options = { dataDir: ${JSON.stringify(dataDir)}, keyFile: ${JSON.stringify(keyFile)}, nodeId: 'n', log: {} };
      process.send('ready');
      process.once('message', () => {
        process.stdout.write(loadMembership(options).clusterId);
        process.disconnect();
      });`;
    const children = Array.from({ length: 20 }, () => spawnReady(program));
    await Promise.all(children.map(({ ready }) => ready));
    for (const { go } of children) go();
    const ids = await Promise.all(children.map(({ output }) => output));
    expect(new Set(ids)).toEqual(new Set([load({ keyFile }).clusterId]));
    expect(readdirSync(dataDir)).toEqual(['shared.key']);
  });
});

/** A process that has loaded its program, and carries it out when it is told to. */
function spawnReady(program: string): { ready: Promise<unknown>; go: () => void; output: Promise<string> } {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const output = once(child, 'close').then(() => text);
  return { ready: once(child, 'message'), go: () => void child.send('go'), output };
}

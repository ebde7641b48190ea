import { describe, expect, test } from 'vitest';
import { NoPeers } from '../../../src/api/no-peers.ts';
import { METHODS } from '../../../src/api/methods/table.ts';
import type { PeersView } from '../../../src/api/ports.ts';
import type { PeerView, RpcMethodName } from '../../../src/api/wire.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { PeerError } from '../../../src/peers/errors.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { rpc, SELF, startApi, type RunningApi } from './api-harness.ts';

const OWN = peerIdOf(Buffer.alloc(32, 1));
const OTHER = peerIdOf(Buffer.alloc(32, 2));
const PEER: PeerView = {
  node_id: OTHER,
  name: 'host-2',
  status: 'connected',
  addresses: ['/ip4/192.0.2.7/tcp/4001'],
  direction: 'outbound',
  connected_since: '2026-11-21T07:30:05.000Z',
  heard_age_ms: 120,
  rtt_ms: 0.8,
  jobs: 3,
  version: '1.2.3',
  draining: false,
};

/** Peers that do as they are told, and remember it. */
class ScriptedPeers implements PeersView {
  readonly done: [what: string, id: NodeId][] = [];
  pinged: (signal: AbortSignal) => Promise<number> = () => Promise.resolve(1.5);

  identity(): ReturnType<PeersView['identity']> {
    return { ...SELF, node_id: OWN, addresses: ['/ip4/192.0.2.1/tcp/4001'] };
  }

  list(): PeerView[] {
    return [PEER, { node_id: OWN, status: 'never', addresses: [], jobs: 0 }];
  }

  ping(id: NodeId, signal: AbortSignal): Promise<number> {
    this.done.push(['ping', id]);
    return this.pinged(signal);
  }

  allow(id: NodeId): void {
    this.done.push(['allow', id]);
  }

  deny(id: NodeId): void {
    this.done.push(['deny', id]);
  }

  async forget(id: NodeId): Promise<boolean> {
    await Promise.resolve();
    this.done.push(['forget', id]);
    return true;
  }
}

/** The result, which must be what the reference says it is. */
async function resultOf(api: RunningApi, name: RpcMethodName, params: unknown = {}): Promise<unknown> {
  const { result, error } = await rpc(api.port, name, params);
  expect(error).toBeUndefined();
  expect(METHODS[name].result().parse(result)).toEqual(result);
  return result;
}

describe('PeerService', () => {
  test('lists peers, and says who this node is to them', async () => {
    const peers = new ScriptedPeers();
    const api = await startApi({ peers });
    expect(await resultOf(api, 'PeerService.List')).toEqual({ peers: peers.list() });
    expect(await resultOf(api, 'PeerService.Identity')).toEqual(peers.identity());
  });

  test('pings, allows, denies and forgets', async () => {
    const peers = new ScriptedPeers();
    const api = await startApi({ peers });
    const params = { node_id: OTHER };
    expect(await resultOf(api, 'PeerService.Ping', params)).toEqual({ node_id: OTHER, rtt_ms: 1.5 });
    expect(await resultOf(api, 'PeerService.Allow', params)).toEqual({ node_id: OTHER, allowed: true });
    expect(await resultOf(api, 'PeerService.Deny', params)).toEqual({ node_id: OTHER, allowed: false });
    expect(await resultOf(api, 'PeerService.Forget', params)).toEqual({ node_id: OTHER, forgotten: true });
    expect(peers.done).toEqual(['ping', 'allow', 'deny', 'forget'].map((what) => [what, OTHER]));
  });

  test('a ping that is not answered ends in time, and says so', async () => {
    const peers = new ScriptedPeers();
    peers.pinged = (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    const api = await startApi({ peers });
    const { error } = await rpc(api.port, 'PeerService.Ping', { node_id: OTHER, timeout_ms: 20 });
    expect(error).toMatchObject({
      code: -32016,
      message: `node ${OTHER} did not answer within 20 ms`,
      data: { reason: 'peer_unreachable', retryable: true },
    });
  });

  test('a ping of a node that is away says so', async () => {
    const peers = new ScriptedPeers();
    peers.pinged = () => Promise.reject(new PeerError('peer_unreachable', 'node X is not connected'));
    const api = await startApi({ peers });
    const { error } = await rpc(api.port, 'PeerService.Ping', { node_id: OTHER });
    expect(error).toMatchObject({ code: -32016, message: 'node X is not connected' });
  });

  test.each(['PeerService.Ping', 'PeerService.Allow', 'PeerService.Deny', 'PeerService.Forget'] as const)(
    '%s takes only the id of another node',
    async (name) => {
      const peers = new ScriptedPeers();
      const api = await startApi({ peers });
      for (const node_id of ['', 'host-2', OTHER.slice(1), 1, OWN]) {
        const { error } = await rpc(api.port, name, { node_id });
        expect(error).toMatchObject({ code: -32602, data: { reason: 'invalid_params' } });
      }
      expect(peers.done).toEqual([]);
    },
  );

  test('without a cluster there are no peers, and nothing can be done with any', async () => {
    const api = await startApi({ peers: new NoPeers({ ...SELF, node_id: OWN }) });
    expect(await resultOf(api, 'PeerService.List')).toEqual({ peers: [] });
    expect(await resultOf(api, 'PeerService.Identity')).toMatchObject({ node_id: OWN, addresses: [] });
    for (const name of ['Ping', 'Allow', 'Deny', 'Forget']) {
      const { error } = await rpc(api.port, `PeerService.${name}`, { node_id: OTHER });
      expect(error).toMatchObject({ code: -32002, data: { reason: 'peers_disabled' } });
    }
  });
});

describe('NodeService', () => {
  test('tells of the node, and takes it out of service and back', async () => {
    const api = await startApi();
    const open = { ...SELF, version: '1.2.3', draining: false, waiting: 0, working: 0, running: 0 };
    expect(await resultOf(api, 'NodeService.Info')).toMatchObject(open);
    expect(await resultOf(api, 'NodeService.Drain')).toMatchObject({ ...open, draining: true });
    const { error } = await rpc(api.port, 'ContainerService.Create', { image: 'nginx' });
    expect(error).toMatchObject({ code: -32015, data: { reason: 'draining' } });
    expect(await resultOf(api, 'NodeService.Undrain')).toMatchObject(open);
    await resultOf(api, 'ContainerService.Create', { image: 'nginx' });
  });
});

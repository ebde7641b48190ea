import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OtherNodes } from '../../../src/frontdoor/other-nodes.ts';
import { TUNNEL_PROTOCOL, type TunnelNetwork } from '../../../src/frontdoor/tunnel-network.ts';
import { serveTunnels } from '../../../src/frontdoor/tunnel-server.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { JobId, NodeId } from '../../../src/kernel/ids.ts';
import { openUpgrade, UpgradeRefusedError, type Upgraded } from '../../support/discon/upgrade.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Libp2pCluster, type StartedPeer } from '../peers/libp2p-harness.ts';
import { type DoorHarness, startDoor } from './door-harness.ts';
import { agree, type ReceivedHead } from './test-upstream.ts';

const SOON_MS = 20_000;
const MIB = 1024 ** 2;

let cluster: Libp2pCluster;
let peers: [StartedPeer, StartedPeer];
/** Has no controller; clients come here. */
let near: DoorHarness;
/** Has what they want. */
let far: DoorHarness;
let owners: Map<string, NodeId>;

beforeEach(async () => {
  cluster = new Libp2pCluster();
  peers = await cluster.startPair();
  owners = new Map();
  near = await startDoor({ entries: [{ id: 'other', image: 'absent' }] });
  far = await startDoor();
  connect(near, peers[0]);
  connect(far, peers[1]);
});
afterEach(() => cluster[Symbol.asyncDispose]());

function connect({ door, catalog, pool, jobs }: DoorHarness, { network }: StartedPeer): void {
  const tunnels: TunnelNetwork = {
    connected: () => network.connected(),
    open: (peer, signal) => network.open(peer, TUNNEL_PROTOCOL, signal),
    handle: (handler) => network.handle(TUNNEL_PROTOCOL, handler),
  };
  const hasImage = async (reference: string): Promise<boolean> =>
    (await jobs.fake.findImage(reference)) !== undefined;
  serveTunnels({ network: tunnels, door, catalog, hasImage, room: () => pool.room });
  const ownerOf = (job: JobId): NodeId | undefined => owners.get(job);
  const deps = { network: tunnels, catalog, hasImage, ownerOf, clock: systemClock };
  door.leadElsewhere(new OtherNodes({ openTimeoutMs: 5_000 }, deps));
}

async function open(target: string): Promise<Upgraded> {
  const upgraded = await openUpgrade({ host: '127.0.0.1', port: near.port, target });
  upgraded.socket.on('error', () => undefined);
  upgraded.socket.resume();
  return upgraded;
}

async function refusal(target: string): Promise<{ status: number; body: string }> {
  const error: unknown = await open(target).catch((failure: unknown) => failure);
  if (!(error instanceof UpgradeRefusedError)) throw new Error(`not refused: ${String(error)}`);
  return { status: error.status, body: error.body.trimEnd() };
}

const nothingLeft = (): Promise<number> =>
  waitFor('nothing to be left on either node', SOON_MS, () =>
    [near, far].every(
      ({ door, pool, upstream }) => door.sessionCount === 0 && pool.count === 0 && upstream.openCount === 0,
    ),
  );

describe('a client of one node', () => {
  test('is led to a controller of another, byte for byte, and ends its container there', async () => {
    const { socket, head } = await open('/ws?controller=rosco&proc=DISCON');
    expect(head.headers).toMatchObject({ 'x-controller': 'rosco%402.9.4' });
    const sent = Buffer.from(Array.from({ length: 5 * MIB }, (_, index) => (index * 13) % 251));
    const chunks: Buffer[] = [];
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
    });
    socket.write(sent);
    await waitFor('all of it to come back', SOON_MS, () => bytes >= sent.length);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    expect(far.upstream.heads[0]?.requestLine).toContain('path=%2Fapp%2Flibdiscon.so&proc=DISCON');
    expect(far.door.sessions()).toMatchObject([
      { controller: 'rosco@2.9.4', client: `127.0.0.1 via ${peers[0].network.nodeId}` },
    ]);
    expect(near.door.sessions()).toMatchObject([{ controller: 'rosco@2.9.4', client: '127.0.0.1' }]);
    expect(near.jobs.fake.calls.create).toBe(0);
    socket.destroy();
    await nothingLeft();
  });

  test('is led to the node that has the job', async () => {
    const leader = await openUpgrade({ host: '127.0.0.1', port: far.port, target: '/ws' });
    const [session] = far.door.sessions();
    const job = session?.job ?? '';
    owners.set(job, peers[1].network.nodeId);
    const { socket } = await open(`/ws?job=${job}&path=%2Fx`);
    expect(far.upstream.heads[1]?.requestLine).toContain('path=%2Fx');
    socket.destroy();
    leader.socket.destroy();
    await nothingLeft();
  });

  test('hears the reason of a refusal there, word for word', async () => {
    far.upstream.answer = ({ socket }: ReceivedHead) => {
      socket.end('HTTP/1.1 500 X\r\nContent-Length: 5\r\nConnection: close\r\n\r\nno no');
    };
    expect(await refusal('/ws?controller=rosco')).toEqual({ status: 500, body: 'no no' });
    await nothingLeft();
  });

  test('hears from its own node what nobody has', async () => {
    expect(await refusal('/ws?controller=nope')).toEqual({ status: 400, body: 'Controller not found: nope' });
    expect(far.jobs.fake.calls.create).toBe(0);
  });

  test('keeps to its own node where that has the image', async () => {
    const both = await startDoor();
    const peer = await cluster.start({ bootstrap: [peers[0].address] });
    connect(both, peer);
    await waitFor('the third to be there', SOON_MS, () => peer.network.connected().length === 2);
    const { socket } = await openUpgrade({ host: '127.0.0.1', port: both.port, target: '/ws' });
    expect(both.jobs.fake.calls.create).toBe(1);
    socket.destroy();
    await waitFor('it to be gone', SOON_MS, () => both.pool.count === 0);
    expect(far.jobs.fake.calls.create).toBe(0);
  });
});

describe('when something breaks', () => {
  test('the container there is reset: the client here is closed', async () => {
    const { socket } = await open('/ws?controller=rosco');
    const ended = once(socket, 'end');
    far.upstream.heads[0]?.socket.resetAndDestroy();
    await ended;
    socket.end();
    await nothingLeft();
  });

  test('the nodes lose each other: both ends are closed', async () => {
    const { socket } = await open('/ws?controller=rosco');
    const ended = once(socket, 'end');
    await peers[1].network[Symbol.asyncDispose]();
    await ended;
    socket.end();
    await nothingLeft();
  });

  test('the client leaves before its answer: what was begun there is ended', async () => {
    using hang = far.jobs.fake.hang('start');
    const abort = openUpgrade({
      host: '127.0.0.1',
      port: near.port,
      target: '/ws?controller=rosco',
      limitMs: 500,
    });
    await waitFor('the start', SOON_MS, () => far.jobs.fake.calls.start === 1);
    await expect(abort).rejects.toThrow('500 ms');
    hang[Symbol.dispose]();
    await nothingLeft();
    expect(far.opened).toEqual([]);
  });

  test('a client that does not read holds back the container, through both nodes', async () => {
    let written = 0;
    far.upstream.answer = (head) => {
      agree(head);
      const chunk = Buffer.alloc(64 * 1024);
      const flood = (): void => {
        while (head.socket.writable && written < 512 * MIB) {
          written += chunk.length;
          if (!head.socket.write(chunk)) break;
        }
      };
      head.socket.on('drain', flood);
      flood();
    };
    const { socket } = await open('/ws?controller=rosco');
    socket.pause();
    let before = -1;
    await waitFor('the flood to stand still', SOON_MS, async () => {
      const isStill = before === written;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return isStill && before === written;
    });
    expect(written).toBeLessThan(64 * MIB);
    socket.destroy();
    await nothingLeft();
  });
});

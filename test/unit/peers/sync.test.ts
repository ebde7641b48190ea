import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import {
  decodeFrame,
  decodeRequest,
  encodeFrame,
  encodeRequest,
  SYNC_PROTOCOL,
  type SyncFrame,
} from '../../../src/peers/replication/sync-messages.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';
import { PULL_ALL } from '../../support/sync-requests.ts';
import type { VirtualNode } from '../../support/virtual-network.ts';

type Frame = Exclude<SyncFrame, { kind: 'batch' }>;
type Relay = Extract<Frame, { kind: 'relay' }>;

let cluster: SimulatedCluster;
let anna: SimulatedNode;
let bert: SimulatedNode;
let honest: SimulatedNode;
let victim: SimulatedNode;
/** Knows what the honest one told it, and tells of it what a test would have it tell. */
let liar: VirtualNode;
let known: Frame[];

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 21, size: 4 });
  [anna, bert, honest, victim] = cluster.nodes as [
    SimulatedNode,
    SimulatedNode,
    SimulatedNode,
    SimulatedNode,
  ];
  for (const node of cluster.nodes) node.start();
  for (let index = 0; index < 4; index += 1) {
    cluster.write(anna, `a${index}`, Buffer.from(`anna ${index}`));
    cluster.write(bert, `b${index}`, Buffer.from(`bert ${index}`));
  }
  await cluster.clock.pass(10_000);
  liar = cluster.network.join('12D3KooWLiar' as NodeId);
  known = await ask(honest);
});
afterEach(() => cluster.crashAll());

const nameOf = (key: Uint8Array): NodeId => anna.signing.nodeIdOf(key);
const relayOf = (frames: readonly Frame[]): Relay =>
  frames.find((frame): frame is Relay => frame.kind === 'relay')!;

/** All that a node has of others' logs. */
async function ask(node: SimulatedNode): Promise<Frame[]> {
  await cluster.clock.pass(10);
  const opening = liar.open(node.nodeId, SYNC_PROTOCOL, new AbortController().signal);
  await cluster.clock.pass(10);
  const stream = await opening;
  await stream.write(encodeRequest(PULL_ALL));
  const frames: Frame[] = [];
  let isDone = false;
  const reading = (async (): Promise<void> => {
    for (;;) {
      const frame = decodeFrame((await stream.read())!);
      if (frame.kind === 'done') break;
      if (frame.kind !== 'batch') frames.push(frame);
    }
    isDone = true;
  })();
  while (!isDone) await cluster.clock.pass(10);
  await reading;
  return frames;
}

/** The frames of one owner's log. */
function logOf({ nodeId }: SimulatedNode): Frame[] {
  const start = known.findIndex((frame) => frame.kind === 'owner' && nameOf(frame.owner) === nodeId);
  return known.slice(start, known.findIndex((frame, index) => index > start && frame.kind === 'end') + 1);
}

/** What the victim hears from now on of all that is known, and it has nothing but the liar to ask. */
async function tell(frames: readonly Frame[], scope: 'own' | 'all' = 'all'): Promise<void> {
  for (const node of [anna, bert, honest]) node.crash();
  liar.handle(SYNC_PROTOCOL, async (stream) => {
    const request = decodeRequest((await stream.read())!);
    const isMeant = request.kind === 'pull' && request.others === (scope === 'all');
    for (const frame of isMeant ? frames : []) await stream.write(encodeFrame(frame));
    await stream.write(encodeFrame({ kind: 'done' }));
  });
  victim.crash();
  victim.start();
  victim.counts.onViolation = 0;
  await cluster.clock.pass(3_000);
}

const keysOf = ({ nodeId }: SimulatedNode): string[] =>
  victim.store.keysUpTo(nodeId, Number.MAX_SAFE_INTEGER, 0);

describe('who passes on the logs of others', () => {
  it('is believed for what their owners have signed', async () => {
    victim.loseMirrors();
    await tell(known);
    expect(keysOf(anna)).toEqual(['a0', 'a1', 'a2', 'a3']);
    expect(keysOf(bert)).toEqual(['b0', 'b1', 'b2', 'b3']);
    expect(victim.counts.onViolation).toBe(0);
  });

  it('cannot make anything vanish by leaving it out', async () => {
    const told: string[] = [];
    const frames = logOf(anna).map((frame) =>
      frame.kind === 'relay' ? { ...frame, from: 0, statements: [], records: [] } : frame,
    );
    const telling = tell(frames);
    victim.replicator!.mirror.subscribe((_owner, { key }) => told.push(key));
    await telling;
    await cluster.clock.pass(60_000);
    expect(keysOf(anna)).toEqual(['a0', 'a1', 'a2', 'a3']);
    expect(told).toEqual([]);
  });

  it('is not heard on them when it was asked for its own', async () => {
    victim.loseMirrors();
    await tell(known, 'own');
    expect(victim.counts.onViolation).toBeGreaterThan(0);
    expect(keysOf(anna)).toEqual([]);
  });

  it.each<[string, (relay: Relay) => Relay]>([
    [
      'a record that nobody signed',
      (relay) => ({
        ...relay,
        records: relay.records.map((record) => ({ ...record, leaf: relayOf(logOf(bert)).records[0]!.leaf })),
      }),
    ],
    ['more than was said', (relay) => ({ ...relay, to: relay.to + 1 })],
    ['another one’s statement', (relay) => ({ ...relay, statements: relayOf(logOf(bert)).statements })],
  ])('spoils one log with %s, and no other', async (_what, forge) => {
    victim.loseMirrors();
    const frames = logOf(anna).map((frame) => (frame.kind === 'relay' ? forge(frame) : frame));
    await tell([...frames, ...logOf(bert)]);
    expect(keysOf(anna)).toEqual([]);
    expect(keysOf(bert)).toEqual(['b0', 'b1', 'b2', 'b3']);
    expect(victim.counts.onViolation).toBeGreaterThan(0);
  });
});

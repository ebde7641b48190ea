import { randomBytes } from 'node:crypto';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { gossipsub, StrictSign, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type { Libp2p, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { talkWith } from '../cluster/pace.ts';
import { Recorder } from '../cluster/recorder.ts';
import { Spending } from '../cluster/spent.ts';
import type { CatchUp, Talk, TalkerStart, Words } from '../cluster/talker.ts';
import { serveParent } from './parent.ts';

/** Gossipsub as it comes, every message signed by it: what telling each change by itself costs at least. Keeps nothing. */

const TOPIC = 'bench';
const MESSAGE_BYTES = 300;
/** Of records on a stream: as long as those of the jobs that a member is filled with, and so many in one piece. */
const RECORD_BYTES = 450;
const RECORDS_PER_PIECE = 100;
const RECORDS_PROTOCOL = '/bench/records';
/** All of them are on one machine, which libp2p would take for an attack. */
const MAX_CONNECTIONS_PER_SECOND = 1_000;

type Host = Libp2p<{ identify: Identify; gossip: GossipSub }>;

const spending = new Spending();
const recorder = new Recorder();
let host: Host | undefined;

async function start({ bootstrap }: TalkerStart): Promise<string> {
  host = (await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: MAX_CONNECTIONS_PER_SECOND },
    services: {
      identify: identify(),
      gossip: gossipsub({ globalSignaturePolicy: StrictSign, allowPublishToZeroTopicPeers: true }),
    },
  })) as Host;
  const { gossip } = host.services;
  gossip.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
    recorder.heard(Buffer.from(msg.data.subarray(0, 16)).toString('hex'), 1);
  });
  gossip.subscribe(TOPIC);
  for (const address of bootstrap) await host.dial(multiaddr(address));
  return String(host.getMultiaddrs()[0]);
}

/** Sends so many records to whoever asks. */
async function fill(count: number): Promise<void> {
  const piece = randomBytes(RECORD_BYTES * RECORDS_PER_PIECE);
  await (host as Host).handle(RECORDS_PROTOCOL, async (stream: Stream) => {
    for (let sent = 0; sent < count; sent += RECORDS_PER_PIECE)
      if (!stream.send(piece)) await stream.onDrain();
    await stream.close();
  });
}

/** Resolves with how long it took from the connection until so many records had come, ms. */
async function catchUp({ records, bootstrap, ...where }: CatchUp): Promise<number> {
  await start({ ...where, bootstrap: [] });
  const connection = await (host as Host).dial(multiaddr(bootstrap[0] ?? ''));
  const connectedMs = performance.now();
  const stream = await connection.newStream(RECORDS_PROTOCOL);
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.byteLength;
  if (bytes < records * RECORD_BYTES) throw new Error(`${bytes} bytes came`);
  return performance.now() - connectedMs;
}

async function speak(): Promise<void> {
  const message = randomBytes(MESSAGE_BYTES);
  recorder.said(message.subarray(0, 16).toString('hex'), 1);
  await (host as Host).services.gossip.publish(TOPIC, message);
}

serveParent(
  {
    start,
    listen: async () => undefined,
    connected: async () => host?.services.gossip.getSubscribers(TOPIC).length,
    heard: async () => recorder.heardCount,
    fill,
    catchUp,
    talk: (talk: Talk) => talkWith(talk, speak),
    take: async (): Promise<Words> => recorder.take(),
    spent: async () => spending.total(),
  },
  async () => {
    await host?.stop();
  },
);

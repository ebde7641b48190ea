import { randomBytes } from 'node:crypto';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { gossipsub, StrictSign, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type { Libp2p } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { pace } from '../cluster/pace.ts';
import { Spending } from '../cluster/spent.ts';
import { sharedMs, type Talk, type TalkerStart, type Word, type Words } from '../cluster/talker.ts';
import { serveParent } from './parent.ts';

/** Gossipsub as it comes, every message signed by it: what telling each change by itself costs at least. Keeps nothing. */

const TOPIC = 'bench';
const MESSAGE_BYTES = 300;
/** All of them are on one machine, which libp2p would take for an attack. */
const MAX_CONNECTIONS_PER_SECOND = 1_000;

type Host = Libp2p<{ identify: Identify; gossip: GossipSub }>;

const spending = new Spending();
let host: Host | undefined;
let said: Word[] = [];
let heard: Word[] = [];

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
    heard.push([Buffer.from(msg.data.subarray(0, 16)).toString('hex'), 1, sharedMs()]);
  });
  gossip.subscribe(TOPIC);
  for (const address of bootstrap) await host.dial(multiaddr(address));
  return String(host.getMultiaddrs()[0]);
}

async function speak(): Promise<void> {
  const message = randomBytes(MESSAGE_BYTES);
  said.push([message.subarray(0, 16).toString('hex'), 1, sharedMs()]);
  await (host as Host).services.gossip.publish(TOPIC, message);
}

serveParent(
  {
    start,
    listen: async () => undefined,
    connected: async () => host?.services.gossip.getSubscribers(TOPIC).length,
    talk: async (talk: Talk) => {
      const messages: Promise<void>[] = [];
      await pace(talk, () => void messages.push(speak()));
      await Promise.all(messages);
    },
    take: async (): Promise<Words> => {
      const words = { said, heard };
      said = [];
      heard = [];
      return words;
    },
    spent: async () => spending.total(),
  },
  async () => {
    await host?.stop();
  },
);

import { createHash } from 'node:crypto';
import { StrictNoSign, type GossipsubOpts, type Message } from '@libp2p/gossipsub';
import { MAX_GOSSIP_BYTES } from '../network.ts';

/** Longest thing that one peer tells another at once: three messages of the greatest length, and what is said about them. */
const MAX_RPC_BYTES = 256 * 1024;
/** What waits for a peer that takes nothing; beyond it the peer's stream of gossip is reset. */
const MAX_OUTBOUND_BYTES = 1024 * 1024;
/** Messages and notices in one such thing. */
const MAX_PARTS = 64;
/** Subscriptions that a peer may have; it needs one. */
const MAX_TOPIC_BYTES_PER_PEER = 16 * 1024;
/** One of each version of gossipsub, and one more while another ends. */
const MAX_GOSSIP_STREAMS = 4;
/**
 * A message is known again for so long. It only has to outlive its way through the mesh: what is old is recognised by its place
 * in its owner's log, and 120 s of a flood would fill the memory.
 */
const SEEN_MS = 30_000;
/**
 * A notice that a message is not wanted goes to the whole mesh, and saves nothing between nodes that were all told directly: only for
 * the longest, which members may have to pass on, it is less than what it may save.
 */
const MIN_UNWANTED_BYTES = MAX_GOSSIP_BYTES / 2;
const MESSAGE_ID_BYTES = 20;

/** The one topic of a cluster. */
export function gossipTopic(clusterId: string): string {
  return `container-manager/${clusterId}/log/1`;
}

/**
 * How gossipsub is set up for one topic, whose messages are signed by who wrote them: a second signature would only cost.
 *
 * Latency: who writes a message sends it to every subscriber at once (`floodPublish`), encoded once (`batchPublish`); nothing waits
 * for a heartbeat. The mesh behind it carries on to those the writer is not connected with, and is as small as one can be that hangs
 * together, since between nodes that all know each other whatever it carries is a duplicate: one neighbour more costs an idle node of ten
 * a third of its time again.
 */
export function gossipOptions(topic: string): Partial<GossipsubOpts> {
  return {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: messageId,
    msgIdToStrFn: (id) => Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1'),
    fallbackToFloodsub: false,
    allowedTopics: [topic],
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    emitSelf: false,
    doPX: false,
    // Tags would have libp2p dial by itself, besides who redials here.
    tagMeshPeers: false,
    floodPublish: true,
    batchPublish: true,
    D: 3,
    Dlo: 2,
    // A member whom all others reach through, since they cannot reach each other, passes on to all of them.
    Dhi: 12,
    Dout: 1,
    Dscore: 1,
    // No offers of old messages: a peer that missed some asks their owner's log, and never for megabytes in one reply.
    Dlazy: 0,
    gossipFactor: 0,
    seenTTL: SEEN_MS,
    idontwantMinDataSize: MIN_UNWANTED_BYTES,
    maxInboundStreams: MAX_GOSSIP_STREAMS,
    maxOutboundStreams: MAX_GOSSIP_STREAMS,
    maxInboundDataLength: MAX_RPC_BYTES,
    maxOutboundBufferSize: MAX_OUTBOUND_BYTES,
    maxTopicBytesPerPeer: MAX_TOPIC_BYTES_PER_PEER,
    decodeRpcLimits: {
      maxSubscriptions: MAX_PARTS,
      maxMessages: MAX_PARTS,
      maxIhaveMessageIDs: MAX_PARTS,
      maxIwantMessageIDs: MAX_PARTS,
      maxIdontwantMessageIDs: MAX_PARTS,
      maxControlMessages: MAX_PARTS,
      maxPeerInfos: 0,
    },
    scoreParams: {
      // Peers hold the cluster's key: many of them behind one address are a cluster on one machine, not an attack.
      IPColocationFactorWeight: 0,
      // What a slow node does, too; the default would shut it out after three times.
      behaviourPenaltyWeight: -1,
      behaviourPenaltyThreshold: 6,
      behaviourPenaltyDecay: 0.9,
      topics: {
        [topic]: {
          topicWeight: 1,
          // Only what is rejected counts: nine messages in quick succession, and the peer is not heard until they weigh less.
          invalidMessageDeliveriesWeight: -1,
          invalidMessageDeliveriesDecay: 0.97,
          timeInMeshWeight: 0,
          timeInMeshQuantum: 1,
          timeInMeshCap: 1,
          firstMessageDeliveriesWeight: 0,
          firstMessageDeliveriesDecay: 0.5,
          firstMessageDeliveriesCap: 1,
          meshMessageDeliveriesWeight: 0,
          meshMessageDeliveriesDecay: 0.5,
          meshMessageDeliveriesCap: 1,
          meshMessageDeliveriesThreshold: 1,
          meshMessageDeliveriesWindow: 0,
          meshMessageDeliveriesActivation: 1_000,
          meshFailurePenaltyWeight: 0,
          meshFailurePenaltyDecay: 0.5,
        },
      },
    },
  };
}

function messageId({ topic, data }: Message): Uint8Array {
  return createHash('sha256').update(topic).update(data).digest().subarray(0, MESSAGE_ID_BYTES);
}

import { z } from 'zod';
import type { NodeId } from '../../kernel/ids.ts';
import { PeerError } from '../../peers/errors.ts';
import { invalidParams } from '../params.ts';
import type { ApiDependencies } from '../ports.ts';
import { defineMethod } from './definition.ts';
import { nodeIdField, noParams } from './fields.ts';
import { identityResult, peerResult } from './results.ts';

/** How long a ping may take unless it is told otherwise, ms. */
const DEFAULT_PING_MS = 5_000;
const MAX_PING_MS = 60_000;

const otherNodeField = nodeIdField.describe('id of another node');

const nodeParams = z.strictObject({ node_id: otherNodeField });

export const list = defineMethod<'PeerService.List'>()({
  summary: 'Every other node that is known, and how it stands.',
  scope: 'read',
  params: noParams,
  result: () => z.strictObject({ peers: z.array(peerResult()) }),
  errors: [],
  handle: (_params, deps) => ({ peers: deps.peers.list() }),
});

export const ping = defineMethod<'PeerService.Ping'>()({
  summary: 'How long a message to another node and back takes.',
  scope: 'read',
  params: z.strictObject({
    node_id: otherNodeField,
    timeout_ms: z.int().min(1).max(MAX_PING_MS).default(DEFAULT_PING_MS),
  }),
  result: () => z.strictObject({ node_id: z.string(), rtt_ms: z.number() }),
  errors: ['invalid_state', 'peer_unreachable'],
  handle: async ({ node_id, timeout_ms }, deps, { signal }) => {
    const id = otherNode(node_id, deps);
    const timeout = AbortSignal.timeout(timeout_ms);
    try {
      return { node_id, rtt_ms: await deps.peers.ping(id, AbortSignal.any([signal, timeout])) };
    } catch (error) {
      if (!timeout.aborted || error instanceof PeerError) throw error;
      const message = `node ${node_id} did not answer within ${timeout_ms} ms`;
      throw new PeerError('peer_unreachable', message, { cause: error, retryable: true });
    }
  },
});

export const identity = defineMethod<'PeerService.Identity'>()({
  summary: 'Who this node is to its peers, and where they reach it.',
  scope: 'read',
  params: noParams,
  result: identityResult,
  errors: [],
  handle: (_params, deps) => deps.peers.identity(),
});

export const allow = defineMethod<'PeerService.Allow'>()({
  summary: 'Lets a node be a peer until this one restarts; for longer, there is the setting peers.allow.',
  scope: 'full',
  params: nodeParams,
  result: () => z.strictObject({ node_id: z.string(), allowed: z.literal(true) }),
  errors: ['invalid_state'],
  handle: ({ node_id }, deps) => {
    deps.peers.allow(otherNode(node_id, deps));
    return { node_id, allowed: true };
  },
});

export const deny = defineMethod<'PeerService.Deny'>()({
  summary: 'Ends the connections with a node and makes none with it until this one restarts, or allows it.',
  scope: 'full',
  params: nodeParams,
  result: () => z.strictObject({ node_id: z.string(), allowed: z.literal(false) }),
  errors: ['invalid_state'],
  handle: ({ node_id }, deps) => {
    deps.peers.deny(otherNode(node_id, deps));
    return { node_id, allowed: false };
  },
});

export const forget = defineMethod<'PeerService.Forget'>()({
  summary:
    'Drops a node that will not return: its addresses, what is known of its jobs, here and by and by on every other node, and what is on its way to it. One that comes back all the same is known again.',
  scope: 'full',
  params: nodeParams,
  result: () => z.strictObject({ node_id: z.string(), forgotten: z.boolean() }),
  errors: ['invalid_state'],
  handle: async ({ node_id }, deps) => ({
    node_id,
    forgotten: await deps.peers.forget(otherNode(node_id, deps)),
  }),
});

function otherNode(id: NodeId, deps: ApiDependencies): NodeId {
  if (id !== deps.peers.identity().node_id) return id;
  throw invalidParams([
    { path: 'node_id', message: 'must be the id of another node: this one has it', value: id },
  ]);
}

import { CodedError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';

/** Each code with what it means. */
export const PEER_ERROR_CODES = {
  peer_unreachable: 'the peer is not connected, or did not answer in time',
  peer_violation: 'the peer sent what no honest peer sends',
  peer_alive: 'the peer was heard just now',
  peers_disabled: 'this node takes no part in a cluster',
} as const;
export type PeerErrorCode = keyof typeof PEER_ERROR_CODES;

export class PeerError extends CodedError<PeerErrorCode> {
  override readonly name = 'PeerError';
}

/** `why` as the end of a sentence. It may be reached at another time. */
export function unreachable(node: NodeId, why: string, cause?: unknown): PeerError {
  return new PeerError('peer_unreachable', `node ${node} ${why}`, {
    cause,
    details: { node },
    retryable: true,
  });
}

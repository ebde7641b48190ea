import { CodedError, messageOf } from '../../kernel/errors.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { CarriedCallError } from '../carried/requests.ts';
import { isJobErrorCode, JobError } from '../errors.ts';

/** Nobody knows whether what failed so was done: the node that was asked may have done it all the same. */
const UNKNOWN: ReadonlySet<string> = new Set(['peer_unreachable', 'timeout', 'cancelled']);

/** The refusal of another node where it is one for good; `undefined` where the same node has to be asked again. */
export function refusalOf(error: unknown): JobError | undefined {
  if (!(error instanceof CodedError) || UNKNOWN.has(error.code)) return undefined;
  // An answer that cannot be read here: the node may have meant yes.
  if (error instanceof CarriedCallError) return undefined;
  const { code, message, details, retryable, retryAfterMs } = error;
  const again = { retryable, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  if (isJobErrorCode(code)) return new JobError(code, message, { cause: error, details, ...again });
  if (code !== 'unsupported_call') return undefined;
  const words = 'the node does not understand the request; run the same version on both';
  return new JobError('invalid_state', words, { cause: error });
}

/** Whether a call failed before the node that was asked began with it. */
export function wasNotSent(error: unknown): boolean {
  return error instanceof CodedError && (error.code === 'busy' || error.details['sent'] === false);
}

export function notSent(node: NodeId, error: unknown): JobError {
  const message = `node ${node} cannot be asked just now (${messageOf(error)}); nothing was accepted there`;
  return new JobError('peer_unreachable', message, {
    cause: error,
    details: { node_id: node },
    retryable: true,
  });
}

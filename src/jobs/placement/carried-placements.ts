import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { CallCarrier } from '../carried/call-carrier.ts';
import { unreadable } from '../carried/replies.ts';
import { encodeRequest, isLongCall, type CarriedRequest } from '../carried/requests.ts';
import type { Job } from '../job.ts';
import { decodeRecord } from '../record.ts';
import type { Claim, ClaimAnswer, EndOptions } from './host.ts';
import type { PlacedRequest } from './outbox-store.ts';
import { decodeAccepted, decodeBid, decodeClaimAnswer } from './placement-replies.ts';
import type { Bid } from './rank-bids.ts';

/** No answer has more. */
const MAX_PIECES = 2;

/**
 * Asks other nodes to take jobs. Everything fails as the node that is asked, or the way to it, does; a job of another id or another
 * node than was asked for is an answer that cannot be read.
 */
export class CarriedPlacements {
  readonly #carrier: CallCarrier;

  constructor(carrier: CallCarrier) {
    this.#carrier = carrier;
  }

  async bid(node: NodeId, image: string, signal: AbortSignal): Promise<Bid> {
    const [piece] = await this.#ask(node, { call: 'bid', image }, signal);
    if (piece === undefined) throw unreadable();
    return decodeBid(piece);
  }

  async accept(
    node: NodeId,
    job: JobId,
    { spec, caller, idempotencyKey, parent }: PlacedRequest,
    signal: AbortSignal,
  ): Promise<{ job: Job; deduplicated: boolean }> {
    const request = { ...spec, ...(idempotencyKey !== undefined && { idempotency_key: idempotencyKey }) };
    const sent = { call: 'accept' as const, job, caller, request, ...(parent !== undefined && { parent }) };
    const accepted = decodeAccepted(await this.#ask(node, sent, signal));
    requireAsked(accepted.job, job, node);
    return accepted;
  }

  /** `undefined` when the node has no such job. */
  async end(
    node: NodeId,
    id: JobId,
    { removes, graceMs }: EndOptions,
    signal: AbortSignal,
  ): Promise<Job | undefined> {
    const grace = graceMs === undefined ? {} : { grace_ms: graceMs };
    const request = { call: 'end' as const, job: id, removes, ...grace };
    const [record] = await this.#ask(node, request, signal);
    if (record === undefined) return undefined;
    const job = decodeRecord(record);
    requireAsked(job, id, node);
    return job;
  }

  async claim(
    node: NodeId,
    { id, nonce, fingerprint, waits }: Claim,
    signal: AbortSignal,
  ): Promise<ClaimAnswer> {
    const request = { call: 'claim' as const, job: id, nonce, fingerprint, waits };
    const answer = decodeClaimAnswer(await this.#ask(node, request, signal));
    if (answer.kind === 'known') requireAsked(answer.job, id, node);
    return answer;
  }

  async #ask(node: NodeId, request: CarriedRequest, signal: AbortSignal): Promise<Uint8Array[]> {
    const options = { isLong: isLongCall(request) };
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#carrier.call(node, encodeRequest(request), signal, options)) {
      pieces.push(piece);
      if (pieces.length > MAX_PIECES) throw unreadable();
    }
    return pieces;
  }
}

function requireAsked(job: Job, id: JobId, owner: NodeId): void {
  if (job.id !== id || job.owner !== owner) throw unreadable();
}

import type { JobId, NodeId } from '../../kernel/ids.ts';
import type { Job } from '../job.ts';
import type { Claim, ClaimAnswer } from '../placement/host.ts';
import type { PlacedRequest } from '../placement/outbox-store.ts';
import type { Bid } from '../placement/rank-bids.ts';
import { decodeRecord } from '../record.ts';
import type { CallCarrier } from './call-carrier.ts';
import { decodeAccepted, decodeBid, decodeClaimAnswer } from './placement-replies.ts';
import { unreadable } from './replies.ts';
import { encodeRequest, type CarriedRequest } from './requests.ts';

/** No answer has more. */
const MAX_PIECES = 2;

/** Asks other nodes to take jobs. Everything fails as the node that is asked, or the way to it, does. */
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
    return decodeAccepted(await this.#ask(node, sent, signal));
  }

  /** `undefined` when the node has no such job. */
  async end(node: NodeId, job: JobId, removes: boolean, signal: AbortSignal): Promise<Job | undefined> {
    const [record] = await this.#ask(node, { call: 'end', job, removes }, signal);
    return record === undefined ? undefined : decodeRecord(record);
  }

  async claim(
    node: NodeId,
    { id, nonce, fingerprint, waits }: Claim,
    signal: AbortSignal,
  ): Promise<ClaimAnswer> {
    const request = { call: 'claim' as const, job: id, nonce, fingerprint, waits };
    return decodeClaimAnswer(await this.#ask(node, request, signal));
  }

  async #ask(node: NodeId, request: CarriedRequest, signal: AbortSignal): Promise<Uint8Array[]> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#carrier.call(node, encodeRequest(request), signal)) {
      pieces.push(piece);
      if (pieces.length > MAX_PIECES) throw unreadable();
    }
    return pieces;
  }
}

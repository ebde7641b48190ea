import { z } from 'zod';
import type { NodeId } from '../../kernel/ids.ts';
import { json, MAX_WHOLE_RECORD_BYTES, read, unreadable } from '../carried/replies.ts';
import type { Job } from '../job.ts';
import { decodeRecord, encodeRecord } from '../record.ts';
import type { ClaimAnswer } from './host.ts';
import type { Bid } from './rank-bids.ts';

/** What a node answers that is to take a job: JSON, and after it the record of the job, where there is one. */

const bid = z.object({
  image: z.boolean(),
  depth: z.int().min(0),
  room: z.boolean(),
  draining: z.boolean(),
  held: z.boolean(),
});

export function encodeBid({ hasImage, depth, hasRoom, isDraining, isHeld }: Bid): Uint8Array {
  return json({ image: hasImage, depth, room: hasRoom, draining: isDraining, held: isHeld });
}

export function decodeBid(piece: Uint8Array): Bid {
  const { image, depth, room, draining, held } = read(bid, piece);
  return { hasImage: image, depth, hasRoom: room, isDraining: draining, isHeld: held };
}

const accepted = z.object({ deduplicated: z.boolean() });

export function* encodeAccepted({
  job,
  deduplicated,
}: {
  job: Job;
  deduplicated: boolean;
}): Generator<Uint8Array> {
  yield json({ deduplicated });
  yield encodeRecord(job, MAX_WHOLE_RECORD_BYTES);
}

export function decodeAccepted([first, second]: readonly Uint8Array[]): { job: Job; deduplicated: boolean } {
  if (first === undefined || second === undefined) throw unreadable();
  const { deduplicated } = read(accepted, first);
  return { job: decodeRecord(second, MAX_WHOLE_RECORD_BYTES), deduplicated };
}

const claimAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('known'), same: z.boolean() }),
  z.object({ kind: z.literal('removed') }),
  z.object({
    kind: z.literal('placed'),
    target: z.string().regex(/^[A-Za-z0-9]{1,128}$/),
    same: z.boolean(),
  }),
  z.object({ kind: z.literal('pending'), ahead: z.boolean() }),
]);

export function* encodeClaimAnswer(answer: ClaimAnswer): Generator<Uint8Array> {
  const { kind } = answer;
  yield json({
    kind,
    ...(kind === 'placed' && { target: answer.target }),
    ...((kind === 'known' || kind === 'placed') && { same: answer.isSame }),
    ...(kind === 'pending' && { ahead: answer.isAhead }),
  });
  if (kind === 'known') yield encodeRecord(answer.job, MAX_WHOLE_RECORD_BYTES);
}

export function decodeClaimAnswer([first, second]: readonly Uint8Array[]): ClaimAnswer {
  if (first === undefined) throw unreadable();
  const answer = read(claimAnswer, first);
  switch (answer.kind) {
    case 'known':
      if (second === undefined) throw unreadable();
      return { kind: 'known', job: decodeRecord(second, MAX_WHOLE_RECORD_BYTES), isSame: answer.same };
    case 'placed':
      return { kind: 'placed', target: answer.target as NodeId, isSame: answer.same };
    case 'pending':
      return { kind: 'pending', isAhead: answer.ahead };
    case 'none':
    case 'removed':
      return answer;
  }
}

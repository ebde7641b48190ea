import { CodedError } from '../../../../src/kernel/errors.ts';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { ALIVE_FRAME, dataFrame, END_FRAME, errorFrame } from '../../../../src/peers/call-frames.ts';
import { encodeIntroductions, type Introduced } from '../../../../src/peers/libp2p/introductions.ts';
import { encodeCard } from '../../../../src/peers/node-card.ts';

class GoldenError extends CodedError {
  override readonly name = 'GoldenError';
}

export const ERROR = new GoldenError('queue_full', 'as many jobs wait as may', {
  details: { limit: 7 },
  retryable: true,
  retryAfterMs: 250,
});

export const INTRODUCED: readonly Introduced[] = [
  {
    peer: '12D3KooWKFWTQaWZb3xHfcCVtGKMFQXXiKP3JYPZsLZUaGz3DWv4' as NodeId,
    addresses: ['/ip4/10.0.0.1/tcp/4001', '/dns4/node.example/tcp/4001', '/ip6/fd00::1/tcp/4001'],
  },
];

/** What nodes tell each other beside their logs, one of each, as this version writes it. */
export function exchangesOfNow() {
  return {
    callData: dataFrame(Buffer.from('{"result":1}')),
    callError: errorFrame(ERROR),
    callEnd: END_FRAME,
    callAlive: ALIVE_FRAME,
    introductions: encodeIntroductions(INTRODUCED),
    card: encodeCard({ name: 'host', version: '1.2.3', isDraining: false }),
    drainingCard: encodeCard({ name: 'host', version: '1.2.3', isDraining: true }),
  };
}

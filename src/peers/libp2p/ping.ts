import { randomBytes } from 'node:crypto';
import type { Connection, Stream } from '@libp2p/interface';
import { abortable } from '../../kernel/single-flight.ts';
import { MAX_PING_STREAMS } from './limits.ts';

/** As libp2p's ping service answers it: with what it was sent. */
const PING_PROTOCOL = '/ipfs/ping/1.0.0';
const PING_BYTES = 32;

/**
 * Asks the other side of a connection for a sign of life; how long it took is kept as the connection's `rtt`, ms. libp2p's own ping asks
 * a peer, over whichever connection it likes. Fails when none comes, or with the signal's reason.
 */
export async function ping(connection: Connection, signal: AbortSignal): Promise<number> {
  const stream = await connection.newStream(PING_PROTOCOL, { signal, maxOutboundStreams: MAX_PING_STREAMS });
  try {
    const answer = firstAnswer(stream);
    // Nobody waits for it where the question cannot even be sent.
    answer.catch(() => undefined);
    const startedMs = performance.now();
    stream.send(randomBytes(PING_BYTES));
    await abortable(answer, signal);
    connection.rtt = performance.now() - startedMs;
    stream.close().catch(() => undefined);
    return connection.rtt;
  } catch (error) {
    stream.abort(error as Error);
    throw error;
  }
}

function firstAnswer(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', () => resolve(), { once: true });
    stream.addEventListener('close', () => reject(new Error('the other side does not answer')), {
      once: true,
    });
  });
}

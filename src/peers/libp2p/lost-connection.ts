import type { Connection } from '@libp2p/interface';
import type { Clock } from '../../kernel/clock.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { PING_LIMIT_MS } from './limits.ts';

/** How much later than on the newer connection a peer may answer on the older one. */
const GRACE_MS = 1_000;

export interface LostConnectionDependencies {
  readonly clock: Clock;
  readonly ping: (connection: Connection, signal: AbortSignal) => Promise<number>;
}

/**
 * Whether a peer that has connected again has lost the connection before, unseen by this side: what would have told of its end
 * may itself be lost. So it is when the peer answers on the newer one, and the older is silent or ends as it is tried; a peer that is
 * busy answers on neither.
 */
export async function isLost(
  older: Connection,
  newer: Connection,
  { clock, ping }: LostConnectionDependencies,
): Promise<boolean> {
  using limited = new LinkedSignal([], { clock, limitMs: PING_LIMIT_MS });
  // A refusal is an answer.
  const answer = ping(older, limited.signal).catch(() => undefined);
  try {
    await ping(newer, limited.signal);
  } catch {
    return false;
  }
  using grace = new LinkedSignal([], { clock, limitMs: GRACE_MS });
  const isSilent = await abortable(answer, grace.signal).then(
    () => false,
    () => true,
  );
  return isSilent || older.status !== 'open';
}

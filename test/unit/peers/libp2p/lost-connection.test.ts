import type { Connection } from '@libp2p/interface';
import { expect, it } from 'vitest';
import { abortable } from '../../../../src/kernel/single-flight.ts';
import { PING_LIMIT_MS } from '../../../../src/peers/libp2p/limits.ts';
import { isLost } from '../../../../src/peers/libp2p/lost-connection.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

type Answer = 'answers' | 'refuses' | 'is silent';

async function outcome(older: Answer, newer: Answer, olderStatus = 'open'): Promise<boolean> {
  const clock = new SteppedClock();
  const answers = new Map<unknown, Answer>();
  const connectionOf = (answer: Answer, status: string): Connection => {
    const connection = { status } as Connection;
    answers.set(connection, answer);
    return connection;
  };
  const ping = (connection: Connection, signal: AbortSignal): Promise<number> => {
    const answer = answers.get(connection);
    if (answer === 'refuses') return Promise.reject(new Error('too many'));
    return abortable(
      answer === 'answers' ? Promise.resolve(1) : new Promise<number>(() => undefined),
      signal,
    );
  };
  const found = isLost(connectionOf(older, olderStatus), connectionOf(newer, 'open'), { clock, ping });
  await clock.advance(2 * PING_LIMIT_MS);
  expect(clock.pending).toBe(0);
  return found;
}

it('is lost when the peer answers on the newer one and not on it', async () => {
  expect(await outcome('is silent', 'answers')).toBe(true);
});

it('is lost when it ends as it is tried', async () => {
  expect(await outcome('refuses', 'answers', 'closed')).toBe(true);
});

it.each<[string, Answer, Answer, string]>([
  ['both are answered on', 'answers', 'answers', 'open'],
  ['neither is, as of a peer that is busy', 'is silent', 'is silent', 'open'],
  ['it is refused a ping', 'refuses', 'answers', 'open'],
  ['the newer one is', 'is silent', 'refuses', 'open'],
])('is not lost when %s', async (_when, older, newer, status) => {
  expect(await outcome(older, newer, status)).toBe(false);
});

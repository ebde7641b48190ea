import { setImmediate as turn } from 'node:timers/promises';
import type { Connection } from '@libp2p/interface';
import { expect, onTestFinished, test } from 'vitest';
import { ping } from '../../../../src/peers/libp2p/ping.ts';

/** A stream whose other side has gone between its opening and the question. */
class BrokenStream extends EventTarget {
  send(): boolean {
    throw new Error('the stream is closed');
  }

  abort(): void {
    this.dispatchEvent(new Event('close'));
  }
}

test('a question that cannot be sent fails whoever asks, and nobody else', async () => {
  const unheard: unknown[] = [];
  const onUnheard = (reason: unknown): void => void unheard.push(reason);
  process.on('unhandledRejection', onUnheard);
  onTestFinished(() => void process.off('unhandledRejection', onUnheard));
  const connection = { newStream: async () => new BrokenStream() } as unknown as Connection;
  await expect(ping(connection, new AbortController().signal)).rejects.toThrow('the stream is closed');
  // What nobody has heard of is told in a later turn.
  for (let count = 0; count < 3; count += 1) await turn();
  expect(unheard).toEqual([]);
});

import { getEventListeners } from 'node:events';
import type { Stream } from '@libp2p/interface';
import { describe, expect, it } from 'vitest';
import { FrameStream } from '../../../../src/peers/libp2p/frame-stream.ts';
import { settle, SteppedClock } from '../../../support/stepped-clock.ts';

/** A stream whose reader takes nothing until the test lets it. */
class FullStream extends EventTarget {
  status = 'open';
  readonly remoteWriteStatus = 'writable';
  readonly readStatus = 'readable';
  maxWriteBufferLength = 0;
  writableNeedsDrain = false;
  sentBytes = 0;

  send(bytes: Uint8Array): boolean {
    this.sentBytes += bytes.length;
    this.writableNeedsDrain = true;
    return false;
  }

  drain(): void {
    this.writableNeedsDrain = false;
    this.dispatchEvent(new Event('drain'));
  }

  abort(error: Error): void {
    this.status = 'aborted';
    this.dispatchEvent(Object.assign(new Event('close'), { error }));
  }
}

describe('a stream of frames', () => {
  const setUp = () => {
    const raw = new FullStream();
    const stream = new FrameStream(raw as unknown as Stream, {
      maxFrameBytes: 1_024,
      clock: new SteppedClock(),
    });
    return { raw, stream };
  };

  it('waits for room as often as it must, and leaves nothing of it behind', async () => {
    const { raw, stream } = setUp();
    const listenersOf = (): number =>
      getEventListeners(stream.signal, 'abort').length + getEventListeners(raw, 'drain').length;
    const before = listenersOf();
    let written = 0;
    for (let count = 1; count <= 100; count += 1) {
      const write = stream.write(new Uint8Array(99)).then(() => (written += 1));
      await settle();
      expect(written).toBe(count - 1);
      raw.drain();
      await write;
    }
    expect(raw.sentBytes).toBe(100 * 100);
    expect(listenersOf()).toBe(before);
  });

  it('that breaks fails who waits for room, and who comes after', async () => {
    const { raw, stream } = setUp();
    const writes = [stream.write(new Uint8Array(10)), stream.write(new Uint8Array(10))];
    const outcomes = Promise.allSettled(writes);
    await settle();
    raw.abort(new Error('too slow'));
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'peer_unreachable' } });
    await expect(stream.write(new Uint8Array(10))).rejects.toMatchObject({ code: 'peer_unreachable' });
  });
});

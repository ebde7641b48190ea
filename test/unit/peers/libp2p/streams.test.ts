import type { Connection, Stream } from '@libp2p/interface';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { Streams } from '../../../../src/peers/libp2p/streams.ts';
import type { StreamProtocol } from '../../../../src/peers/network.ts';
import { settle, SteppedClock } from '../../../support/stepped-clock.ts';

const A = 'peer-a' as NodeId;
const B = 'peer-b' as NodeId;
const PROTOCOL: StreamProtocol = {
  id: '/test/1.0.0',
  maxFrameBytes: 1_024,
  maxInboundStreams: 2,
  maxInboundPerSecond: 3,
};
const BURST = 10 * PROTOCOL.maxInboundPerSecond;

/** A stream that a peer has opened. */
class InboundStream extends EventTarget {
  status = 'open';
  readonly remoteWriteStatus = 'writable';
  maxWriteBufferLength = 0;

  close(): Promise<void> {
    this.#end('closed');
    return Promise.resolve();
  }

  abort(): void {
    this.#end('aborted');
  }

  #end(status: string): void {
    if (this.status !== 'open') return;
    this.status = status;
    this.dispatchEvent(new Event('close'));
  }
}

describe('streams that peers open', () => {
  let clock: SteppedClock;
  let streams: Streams;
  let refused: number;
  let served: NodeId[];
  let finish: Promise<void>;
  let receive: (stream: Stream, connection: Connection) => void;
  beforeEach(() => {
    clock = new SteppedClock();
    refused = 0;
    served = [];
    finish = Promise.resolve();
    streams = new Streams({
      clock,
      connectionOf: () => undefined,
      admission: () => Promise.resolve(),
      mount: (_protocol, handler) => {
        receive = handler;
        return Promise.resolve();
      },
      onRefused: () => (refused += 1),
    });
    streams.handle(PROTOCOL, (_stream, from) => {
      served.push(from);
      return finish;
    });
  });
  const opens = async (peer: NodeId, count: number): Promise<void> => {
    for (let opened = 0; opened < count; opened += 1) {
      receive(new InboundStream() as unknown as Stream, { remotePeer: peer } as unknown as Connection);
      await settle();
    }
  };

  it('are so many at once, of each peer', async () => {
    finish = new Promise(() => undefined);
    await opens(A, 5);
    await opens(B, 1);
    expect(served).toEqual([A, A, B]);
    expect(refused).toBe(3);
  });

  it('are so many in a while, of each peer', async () => {
    await opens(A, 2 * BURST);
    expect(served).toHaveLength(BURST);
    expect(refused).toBe(BURST);
    await opens(B, 1);
    expect(served.at(-1)).toBe(B);
    await clock.advance(1_000);
    await opens(A, BURST);
    expect(served).toHaveLength(BURST + 1 + PROTOCOL.maxInboundPerSecond);
  });

  it('are counted anew for a peer that has gone', async () => {
    await opens(A, 2 * BURST);
    streams.forget(A);
    await opens(A, 1);
    expect(served).toHaveLength(BURST + 1);
  });
});

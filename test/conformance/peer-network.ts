import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import { PeerError } from '../../src/peers/errors.ts';
import {
  MAX_GOSSIP_BYTES,
  type GossipVerdict,
  type PeerNetwork,
  type PeerStream,
  type StreamProtocol,
} from '../../src/peers/network.ts';

export interface PeerNetworkSubject extends AsyncDisposable {
  /** A new node. It is connected with all others before long, not at once. */
  join(): Promise<PeerNetwork>;
  /** A node goes, and all its connections with it. */
  leave(network: PeerNetwork): Promise<void>;
  /** Lets time pass until the promise is settled. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /** Lets time pass until it holds; fails with `what` when that takes too long. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** Lets so much time pass that whatever is under way has arrived. */
  quiet(): Promise<void>;
}

/** What a writer may be ahead of a reader who reads nothing, at most. */
const MAX_AHEAD_BYTES = 2 * 1024 * 1024;

const PROTOCOL: StreamProtocol = {
  id: '/container-manager/conformance/1.0.0',
  maxFrameBytes: 64 * 1024,
  maxInboundStreams: 4,
  maxInboundPerSecond: 100,
};
const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (frame: Uint8Array | undefined): string | undefined =>
  frame === undefined ? undefined : Buffer.from(frame).toString();
const never = new AbortController().signal;

/** What every `PeerNetwork` must do. */
export function describePeerNetwork(name: string, makeSubject: () => Promise<PeerNetworkSubject>): void {
  describe(`${name} as a PeerNetwork`, () => {
    let subject: PeerNetworkSubject;
    let nodes: PeerNetwork[];
    beforeEach(async () => {
      subject = await makeSubject();
      nodes = [];
    });
    afterEach(async () => {
      await subject[Symbol.asyncDispose]();
    });

    const join = async (count: number): Promise<PeerNetwork[]> => {
      for (let index = 0; index < count; index++) nodes.push(await subject.join());
      await subject.until('all to be connected', () =>
        nodes.every((node) => node.connected().length === nodes.length - 1),
      );
      return nodes;
    };
    const open = (from: PeerNetwork, to: PeerNetwork, protocol = PROTOCOL): Promise<PeerStream> =>
      subject.settled(from.open(to.nodeId, protocol, never));

    describe('connections', () => {
      it('are told of once each, when they come and when they go', async () => {
        const [a] = (await join(1)) as [PeerNetwork];
        const heard: [NodeId, boolean][] = [];
        a.subscribe((peer, isConnected) => heard.push([peer, isConnected]));
        const [, b, c] = (await join(2)) as [PeerNetwork, PeerNetwork, PeerNetwork];
        expect(heard.toSorted()).toEqual(
          [
            [b.nodeId, true],
            [c.nodeId, true],
          ].toSorted(),
        );
        await subject.leave(b);
        await subject.until('the end of one', () => a.connected().length === 1);
        expect(heard.slice(2)).toEqual([[b.nodeId, false]]);
        expect(a.connected()).toEqual([c.nodeId]);
      });

      it('are there when they are told of, and not any more when their end is', async () => {
        const [a] = (await join(1)) as [PeerNetwork];
        const shown: boolean[] = [];
        a.subscribe((peer) => shown.push(a.connected().includes(peer)));
        const [, b] = (await join(1)) as [PeerNetwork, PeerNetwork];
        await subject.leave(b);
        await subject.until('the end', () => a.connected().length === 0);
        expect(shown).toEqual([true, false]);
      });

      it('are told of no more to a listener that has left', async () => {
        const [a] = (await join(1)) as [PeerNetwork];
        let heard = 0;
        a.subscribe(() => (heard += 1))[Symbol.dispose]();
        await join(1);
        expect(heard).toBe(0);
      });
    });

    describe('gossip', () => {
      const listen = (node: PeerNetwork, verdict: GossipVerdict = 'accept') => {
        const heard: { text: string; from: NodeId }[] = [];
        node.onGossip((message, from) => {
          heard.push({ text: textOf(message) as string, from });
          return verdict;
        });
        return heard;
      };
      /** A message may be lost; what is asked here is who hears those that are not. */
      const flow = async (from: PeerNetwork, to: readonly { readonly text: string }[][]): Promise<void> => {
        let count = 0;
        await subject.until('gossip to flow', () => {
          from.publish(bytes(`first ${(count += 1)}`));
          return to.every((heard) => heard.some(({ text }) => text.startsWith('first')));
        });
        await subject.quiet();
        for (const heard of to) heard.splice(0);
      };

      it('reaches every node once, and not the one that tells', async () => {
        const [a, b, c] = (await join(3)) as [PeerNetwork, PeerNetwork, PeerNetwork];
        const heard = [a, b, c].map((node) => listen(node));
        await flow(a, heard.slice(1));
        for (let index = 0; index < 20; index++) a.publish(bytes(`message ${index}`));
        await subject.until('all messages', () => heard.slice(1).every(({ length }) => length >= 20));
        // None of them comes again.
        await subject.quiet();
        const sent = Array.from({ length: 20 }, (_, index) => `message ${index}`).toSorted();
        expect(heard.map((messages) => messages.map(({ text }) => text).toSorted())).toEqual([
          [],
          sent,
          sent,
        ]);
      });

      it('says who passed it on', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const heard = listen(b);
        await flow(a, [heard]);
        a.publish(bytes('hello'));
        await subject.until('the message', () => heard.length > 0);
        expect(heard).toEqual([{ text: 'hello', from: a.nodeId }]);
      });

      it('goes on after a message that was rejected or ignored', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const heard = listen(b);
        await flow(a, [heard]);
        const verdicts: GossipVerdict[] = ['reject', 'ignore', 'accept'];
        b.onGossip((message) => {
          heard.push({ text: textOf(message) as string, from: a.nodeId });
          return verdicts.shift() ?? 'accept';
        });
        for (const text of ['bad', 'stale', 'good']) a.publish(bytes(text));
        await subject.until('all three', () => heard.length === 3);
        expect(heard.map(({ text }) => text).toSorted()).toEqual(['bad', 'good', 'stale']);
      });

      it('carries the longest message, and refuses one that is longer', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const heard = listen(b);
        await flow(a, [heard]);
        a.publish(new Uint8Array(MAX_GOSSIP_BYTES).fill(97));
        await subject.until('the message', () => heard.length === 1);
        expect(heard[0]?.text.length).toBe(MAX_GOSSIP_BYTES);
        expect(() => a.publish(new Uint8Array(MAX_GOSSIP_BYTES + 1))).toThrow();
      });

      it('may be told to nobody', async () => {
        const [a] = (await join(1)) as [PeerNetwork];
        a.publish(bytes('is anybody there?'));
        await subject.quiet();
        expect(a.connected()).toEqual([]);
      });
    });

    describe('streams', () => {
      it('carry frames both ways, in order, until both have ended', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const origins: NodeId[] = [];
        b.handle(PROTOCOL, async (stream, from) => {
          origins.push(from);
          for (let frame = await stream.read(); frame !== undefined; frame = await stream.read())
            await stream.write(bytes(`${textOf(frame)}!`));
        });
        const stream = await open(a, b);
        const sent = ['', 'one', 'x'.repeat(PROTOCOL.maxFrameBytes - 1), 'three'];
        const answers: (string | undefined)[] = [];
        for (const text of sent) {
          await subject.settled(stream.write(bytes(text)));
          answers.push(textOf(await subject.settled(stream.read())));
        }
        expect(answers).toEqual(sent.map((text) => `${text}!`));
        await subject.settled(stream.end());
        expect(await subject.settled(stream.read())).toBeUndefined();
        expect(origins).toEqual([a.nodeId]);
      });

      it('give what was written before the end', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        b.handle(PROTOCOL, async (stream) => {
          for (let index = 0; index < 50; index++) await stream.write(bytes(`frame ${index}`));
        });
        const stream = await open(a, b);
        const frames: (string | undefined)[] = [];
        for (let text = textOf(await subject.settled(stream.read())); text !== undefined;) {
          frames.push(text);
          text = textOf(await subject.settled(stream.read()));
        }
        expect(frames).toEqual(Array.from({ length: 50 }, (_, index) => `frame ${index}`));
      });

      it('make a writer wait for a reader who does not read, and lose nothing', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const mayRead = Promise.withResolvers<void>();
        let readCount = 0;
        b.handle(PROTOCOL, async (stream) => {
          await mayRead.promise;
          while ((await stream.read()) !== undefined) readCount += 1;
        });
        const stream = await open(a, b);
        const frame = new Uint8Array(PROTOCOL.maxFrameBytes);
        const count = (4 * MAX_AHEAD_BYTES) / frame.length;
        let written = 0;
        const writing = (async () => {
          for (; written < count; written++) await stream.write(frame);
          await stream.end();
        })();
        await subject.quiet();
        expect(written * frame.length).toBeLessThan(MAX_AHEAD_BYTES);
        mayRead.resolve();
        await subject.settled(writing);
        await subject.until('all to be read', () => readCount === count);
      });

      it('refuse a frame that is too long on the way out', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        b.handle(PROTOCOL, async (stream) => void (await stream.read()));
        const stream = await open(a, b);
        const write = stream.write(new Uint8Array(PROTOCOL.maxFrameBytes + 1));
        await expect(subject.settled(write)).rejects.toThrow();
        stream.abort(new Error('enough'));
      });

      it('are broken for the other side when one gives up', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const seen = Promise.withResolvers<{ isAborted: boolean; error: unknown }>();
        b.handle(PROTOCOL, async (stream, _from, signal) => {
          await stream.read();
          await stream.read().catch((error: unknown) => seen.resolve({ isAborted: signal.aborted, error }));
        });
        const stream = await open(a, b);
        await subject.settled(stream.write(bytes('hello')));
        await subject.quiet();
        stream.abort(new Error('no more'));
        stream.abort(new Error('twice is as once'));
        const { isAborted, error } = await subject.settled(seen.promise);
        expect(error).toBeInstanceOf(Error);
        expect(isAborted).toBe(true);
        await expect(subject.settled(stream.read())).rejects.toThrow();
      });

      it('are reset when their handler fails', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        b.handle(PROTOCOL, async (stream) => {
          await stream.read();
          throw new Error('nothing for you');
        });
        const stream = await open(a, b);
        await subject.settled(stream.write(bytes('hello')));
        await expect(subject.settled(stream.read())).rejects.toThrow();
      });

      it('are broken when the peer goes', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        const aborted = Promise.withResolvers<void>();
        b.handle(PROTOCOL, async (stream, _from, signal) => {
          signal.addEventListener('abort', () => aborted.resolve());
          await stream.read();
          await aborted.promise;
        });
        const stream = await open(a, b);
        await subject.settled(stream.write(bytes('hello')));
        await subject.quiet();
        const reading = expect(subject.settled(stream.read())).rejects.toThrow();
        await subject.leave(b);
        await reading;
        await subject.settled(aborted.promise);
      });

      it('are not opened to who is not there, or does not speak the protocol', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        await expect(
          open(a, b, { ...PROTOCOL, id: '/container-manager/unheard-of/1.0.0' }),
        ).rejects.toMatchObject({ code: 'peer_unreachable' });
        await subject.leave(b);
        await subject.until('the end', () => a.connected().length === 0);
        const opening = open(a, b);
        await expect(opening).rejects.toBeInstanceOf(PeerError);
        await expect(opening).rejects.toMatchObject({ code: 'peer_unreachable' });
      });

      it('are not opened for who wants them no more', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        b.handle(PROTOCOL, async (stream) => void (await stream.read()));
        const reason = new Error('changed my mind');
        const opening = a.open(b.nodeId, PROTOCOL, AbortSignal.abort(reason));
        await expect(subject.settled(opening)).rejects.toBe(reason);
      });

      it('are so many of each peer, and more again when some have ended', async () => {
        const [a, b] = (await join(2)) as [PeerNetwork, PeerNetwork];
        b.handle(PROTOCOL, async (stream) => {
          for (let frame = await stream.read(); frame !== undefined; frame = await stream.read())
            await stream.write(frame);
        });
        /** Whether the stream is served. */
        const isServed = async (stream: PeerStream): Promise<boolean> => {
          const answer = (async () => {
            await stream.write(bytes('hello'));
            return textOf(await stream.read()) === 'hello';
          })();
          return await subject.settled(answer.catch(() => false));
        };
        const streams: PeerStream[] = [];
        for (let index = 0; index < PROTOCOL.maxInboundStreams; index++) {
          const stream = await open(a, b);
          expect(await isServed(stream)).toBe(true);
          streams.push(stream);
        }
        const surplus = await open(a, b).catch(() => undefined);
        expect(surplus === undefined || (await isServed(surplus))).toBe(surplus === undefined);
        for (const stream of streams) {
          await subject.settled(stream.end());
          expect(await subject.settled(stream.read())).toBeUndefined();
        }
        await subject.quiet();
        expect(await isServed(await open(a, b))).toBe(true);
      });
    });
  });
}

import { describe, expect, it } from 'vitest';
import { CodedError, InvariantError } from '../../../src/kernel/errors.ts';
import { CALL_PROTOCOL, decodeReply, errorFrame } from '../../../src/peers/call-frames.ts';
import { MAX_CALLS_PER_PEER } from '../../../src/peers/call-places.ts';
import { PeerCallError, PeerCalls, type CallHandler } from '../../../src/peers/calls.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PeerPair } from '../../support/peer-pair.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';

const NEVER = new AbortController().signal;
const text = (words: string): Uint8Array => Buffer.from(words);

class Refused extends CodedError<'no_way'> {
  override readonly name = 'Refused';
}

/** Node a calls node b. */
class CallHarness {
  readonly pair = new PeerPair();
  readonly clock = new SteppedClock();
  readonly invariants: InvariantError[] = [];
  readonly caller: PeerCalls;
  readonly callee: PeerCalls;

  constructor(handler?: CallHandler) {
    const deps = {
      clock: this.clock,
      logger: SILENT_LOGGER,
      onInvariantError: (error: InvariantError) => void this.invariants.push(error),
    };
    this.caller = new PeerCalls({ ...deps, network: this.pair.a });
    this.callee = new PeerCalls({ ...deps, network: this.pair.b });
    if (handler !== undefined) this.callee.serve(handler);
  }

  call(request = 'x', signal = NEVER): AsyncGenerator<Uint8Array> {
    return this.caller.call(this.pair.b.nodeId, text(request), signal);
  }

  async collect(request = 'x', signal = NEVER): Promise<string[]> {
    const pieces: string[] = [];
    for await (const piece of this.call(request, signal)) pieces.push(Buffer.from(piece).toString());
    return pieces;
  }

  get openStreams(): number {
    return this.pair.a.openStreams + this.pair.b.openStreams;
  }
}

function failing(error: Error): CallHandler {
  return async function* () {
    await Promise.resolve();
    yield text('first');
    throw error;
  };
}

describe('a call', () => {
  it('brings the request there and every piece of the answer back, in order', async () => {
    const harness = new CallHarness(async function* (request, from) {
      for (let count = 0; count < 20; count += 1) {
        await Promise.resolve();
        yield text(`${from} ${Buffer.from(request).toString()} ${count}`);
      }
      yield new Uint8Array();
    });
    const expected = Array.from({ length: 20 }, (_, count) => `${harness.pair.a.nodeId} hello ${count}`);
    expect(await harness.collect('hello')).toEqual([...expected, '']);
    await expect.poll(() => harness.openStreams, PATIENCE).toBe(0);
    expect(harness.clock.pending).toBe(0);
  });

  it('fails with the error of the other side: code, message and facts', async () => {
    const error = new Refused('no_way', 'not on a Sunday', {
      details: { day: 'Sunday' },
      retryable: true,
      retryAfterMs: 86_400_000,
    });
    const harness = new CallHarness(failing(error));
    const pieces = harness.call();
    expect(Buffer.from((await pieces.next()).value ?? []).toString()).toBe('first');
    const failure: unknown = await pieces.next().catch((reason: unknown) => reason);
    expect(failure).toBeInstanceOf(PeerCallError);
    expect(failure).toMatchObject({
      code: 'no_way',
      message: 'not on a Sunday',
      details: { day: 'Sunday' },
      retryable: true,
      retryAfterMs: 86_400_000,
    });
  });

  it('tells nothing of an error that is not ours, but that there was one', async () => {
    const harness = new CallHarness(failing(new TypeError('secret of the machine room')));
    const failure: unknown = await harness.collect().catch((reason: unknown) => reason);
    expect(failure).toMatchObject({ code: 'internal_error', retryable: false });
    expect(JSON.stringify(failure) + (failure as Error).message).not.toContain('secret');
  });

  it('says so when it breaks one of our invariants', async () => {
    const harness = new CallHarness(failing(new InvariantError('two plus two')));
    await expect(harness.collect()).rejects.toMatchObject({ code: 'internal_error' });
    expect(harness.invariants).toHaveLength(1);
  });

  it('fails when the stream breaks, which is no end', async () => {
    const harness = new CallHarness(async function* () {
      yield text('first');
      await new Promise(() => undefined);
    });
    const pieces = harness.call();
    await pieces.next();
    const rest = pieces.next();
    harness.pair.disconnect();
    await expect(rest).rejects.toMatchObject({ code: 'peer_unreachable', retryable: true });
    expect(harness.openStreams).toBe(0);
  });

  it('fails when the stream ends before the answer does', async () => {
    const harness = new CallHarness();
    harness.pair.b.handle(CALL_PROTOCOL, async (stream) => {
      await stream.read();
    });
    await expect(harness.collect()).rejects.toMatchObject({ code: 'peer_unreachable' });
  });

  it.each([
    ['an empty frame', new Uint8Array()],
    ['an error that is no JSON', Uint8Array.of(1, 0x7b)],
    ['an error without a code', Buffer.from('\u0001{}')],
  ])('fails with a violation when the peer sends %s', async (_what, frame) => {
    const harness = new CallHarness();
    harness.pair.b.handle(CALL_PROTOCOL, async (stream) => stream.write(frame));
    await expect(harness.collect()).rejects.toMatchObject({ code: 'peer_violation' });
  });

  it('goes on over frames that only a newer peer knows', async () => {
    const harness = new CallHarness();
    harness.pair.b.handle(CALL_PROTOCOL, async (stream) => {
      await stream.write(Uint8Array.of(77, 1, 2));
      await stream.write(errorFrame(new Refused('no_way', 'after all')));
    });
    await expect(harness.collect()).rejects.toMatchObject({ code: 'no_way' });
  });

  it('fails at once when the peer is not there, or does not answer calls', async () => {
    const harness = new CallHarness();
    const unsent = { code: 'peer_unreachable', retryable: true, details: { sent: false } };
    await expect(harness.collect()).rejects.toMatchObject(unsent);
    harness.pair.disconnect();
    await expect(harness.collect()).rejects.toMatchObject(unsent);
  });
});

describe('a caller that leaves', () => {
  it.each(['aborts', 'stops reading'])('is noticed by the other side when it %s', async (how) => {
    const left = Promise.withResolvers<void>();
    const harness = new CallHarness(async function* (_request, _from, signal) {
      signal.addEventListener('abort', () => left.resolve(), { once: true });
      yield text('first');
      await new Promise(() => undefined);
    });
    const abort = new AbortController();
    const pieces = harness.call('x', abort.signal);
    await pieces.next();
    if (how === 'aborts') {
      const rest = pieces.next();
      const reason = new Error('enough');
      abort.abort(reason);
      await expect(rest).rejects.toBe(reason);
    } else await pieces.return(undefined);
    await left.promise;
    await expect.poll(() => harness.openStreams, PATIENCE).toBe(0);
    expect(harness.clock.pending).toBe(0);
  });

  it('that had left before it began sends nothing', async () => {
    let calls = 0;
    const harness = new CallHarness(async function* () {
      await Promise.resolve();
      calls += 1;
      yield text('x');
    });
    await expect(harness.collect('x', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    await settle();
    expect(calls).toBe(0);
  });
});

describe('a slow reader', () => {
  it('keeps the other side from making more than fits in between', async () => {
    let made = 0;
    const harness = new CallHarness(async function* () {
      for (;;) {
        await Promise.resolve();
        made += 1;
        yield text(`${made}`);
      }
    });
    const pieces = harness.call();
    await pieces.next();
    await settle();
    const ahead = made;
    await settle();
    expect(made).toBe(ahead);
    expect(made).toBeLessThan(10);
    for (let read = 0; read < 50; read += 1) await pieces.next();
    expect(made).toBeGreaterThanOrEqual(51);
    await pieces.return(undefined);
  });

  it('is given up once it has taken nothing for two minutes', async () => {
    const left = Promise.withResolvers<void>();
    const harness = new CallHarness(async function* (_request, _from, signal) {
      signal.addEventListener('abort', () => left.resolve(), { once: true });
      for (;;) yield text('x');
    });
    const pieces = harness.call();
    await pieces.next();
    await settle();
    await harness.clock.advance(119_000);
    expect(harness.openStreams).toBe(2);
    await harness.clock.advance(2_000);
    expect(harness.openStreams).toBe(0);
    await expect(pieces.next()).rejects.toMatchObject({ code: 'peer_unreachable' });
  });
});

describe('silence', () => {
  it('of a handler is bridged by signs of life, for as long as it takes', async () => {
    const done = Promise.withResolvers<void>();
    const harness = new CallHarness(async function* () {
      await done.promise;
      yield text('at last');
    });
    const answer = harness.collect();
    await harness.clock.advance(3_600_000);
    done.resolve();
    expect(await answer).toEqual(['at last']);
  });

  it('of a peer for 30 s means that it has gone', async () => {
    const harness = new CallHarness();
    harness.pair.b.handle(CALL_PROTOCOL, () => new Promise(() => undefined));
    const answer = harness.collect().catch((error: unknown) => error);
    await harness.clock.advance(29_000);
    expect(harness.openStreams).toBe(2);
    await harness.clock.advance(2_000);
    expect(await answer).toMatchObject({ code: 'peer_unreachable' });
    expect(harness.openStreams).toBe(0);
  });

  it('of a caller that never says what it wants ends its call', async () => {
    const harness = new CallHarness(async function* () {
      await Promise.resolve();
      yield text('x');
    });
    const stream = await harness.pair.a.open(harness.pair.b.nodeId, CALL_PROTOCOL, NEVER);
    await settle();
    await harness.clock.advance(11_000);
    await expect(stream.read()).rejects.toThrow();
    expect(harness.openStreams).toBe(0);
  });
});

describe('many calls', () => {
  it('of one peer are bounded; one more is told to come again, and may when another is over', async () => {
    const go = Promise.withResolvers<void>();
    const harness = new CallHarness(async function* () {
      await go.promise;
      yield text('done');
    });
    const calls = Array.from({ length: MAX_CALLS_PER_PEER }, () => harness.collect());
    await settle();
    await expect(harness.collect()).rejects.toMatchObject({ code: 'busy', retryable: true });
    const stream = await harness.pair.a.open(harness.pair.b.nodeId, CALL_PROTOCOL, NEVER);
    const refusal = decodeReply((await stream.read()) ?? new Uint8Array());
    expect(refusal).toMatchObject({ kind: 'error', error: { code: 'busy', retryAfterMs: 1_000 } });
    await stream.end();
    go.resolve();
    expect(await Promise.all(calls)).toEqual(calls.map(() => ['done']));
    await expect.poll(() => harness.openStreams, PATIENCE).toBe(0);
    expect(await harness.collect()).toEqual(['done']);
  });
});

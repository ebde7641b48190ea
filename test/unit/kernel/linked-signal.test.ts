import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/kernel/clock.ts';
import { LinkedSignal } from '../../../src/kernel/linked-signal.ts';

/** A clock whose one timer the test sets off. */
function manualClock() {
  const timers = new Set<() => void>();
  const clock: Clock = {
    wallMs: () => 0,
    monotonicMs: () => 0,
    after: (_delayMs, action) => {
      timers.add(action);
      return { [Symbol.dispose]: () => void timers.delete(action) };
    },
  };
  return { clock, timers, fire: () => timers.forEach((action) => action()) };
}

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('LinkedSignal', () => {
  test('is aborted with the first of its sources, for its reason, and lets go of the others', () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const linked = new LinkedSignal([first.signal, second.signal]);
    expect(linked.signal.aborted).toBe(false);
    second.abort('why');
    expect(linked.signal.reason).toBe('why');
    expect(linked.isTimedOut).toBe(false);
    expect(listenersOf(first.signal)).toBe(0);
  });

  test('is aborted from the start when a source is', () => {
    const { signal } = new LinkedSignal([new AbortController().signal, AbortSignal.abort('already')]);
    expect(signal.reason).toBe('already');
  });

  test('is aborted when its time is over, and says so', () => {
    const { clock, fire } = manualClock();
    const linked = new LinkedSignal([], { clock, limitMs: 5 });
    fire();
    expect(linked.isTimedOut).toBe(true);
    expect((linked.signal.reason as Error).name).toBe('TimeoutError');
  });

  test('a source that comes first stops the time', () => {
    const { clock, timers } = manualClock();
    const source = new AbortController();
    const linked = new LinkedSignal([source.signal], { clock, limitMs: 5 });
    source.abort('why');
    expect(timers.size).toBe(0);
    expect(linked.isTimedOut).toBe(false);
  });

  test('without a limit there is no timer', () => {
    const { clock, timers } = manualClock();
    expect(new LinkedSignal([], { clock, limitMs: 0 }).signal.aborted).toBe(false);
    expect(timers.size).toBe(0);
  });

  test('leaves nothing on its sources once it is disposed', () => {
    const { clock, timers } = manualClock();
    const source = new AbortController();
    const linked = new LinkedSignal([source.signal], { clock, limitMs: 5 });
    expect(listenersOf(source.signal)).toBe(1);
    linked[Symbol.dispose]();
    linked[Symbol.dispose]();
    expect(listenersOf(source.signal)).toBe(0);
    expect(timers.size).toBe(0);
    source.abort();
    expect(linked.signal.aborted).toBe(false);
  });
});

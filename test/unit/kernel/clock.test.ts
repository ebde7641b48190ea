import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { sleep, systemClock } from '../../../src/kernel/clock.ts';

const DAY_MS = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('systemClock.after', () => {
  test('runs once, when the time has come', () => {
    const action = vi.fn();
    systemClock.after(1000, action);
    vi.advanceTimersByTime(999);
    expect(action).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(action).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10_000);
    expect(action).toHaveBeenCalledTimes(1);
  });

  test.each([[24], [25], [60], [365]])('waits for %d days, though a timer cannot', (days) => {
    const action = vi.fn();
    systemClock.after(days * DAY_MS, action);
    vi.advanceTimersByTime(days * DAY_MS - 1);
    expect(action).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(action).toHaveBeenCalledTimes(1);
  });

  test('what is disposed of does not run, in its first step or a later one', () => {
    const action = vi.fn();
    systemClock.after(1000, action)[Symbol.dispose]();
    const long = systemClock.after(60 * DAY_MS, action);
    vi.advanceTimersByTime(30 * DAY_MS);
    long[Symbol.dispose]();
    long[Symbol.dispose]();
    vi.advanceTimersByTime(60 * DAY_MS);
    expect(action).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a time that has passed is now', () => {
    const action = vi.fn();
    systemClock.after(-5, action);
    vi.advanceTimersByTime(1);
    expect(action).toHaveBeenCalledTimes(1);
  });

  test('does not keep the process alive', () => {
    const module = JSON.stringify(join(import.meta.dirname, '../../../src/kernel/clock.ts'));
    const script = `(await import(${module})).systemClock.after(3_600_000, () => {})`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 15_000 });
    expect(child.status).toBe(0);
  });
});

describe('systemClock', () => {
  test('tells wall clock and a clock that never goes back', () => {
    vi.useRealTimers();
    expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1000);
    const times = Array.from({ length: 1000 }, () => systemClock.monotonicMs());
    expect(times.toSorted((a, b) => a - b)).toEqual(times);
  });
});

describe('sleep', () => {
  test('resolves after its time and leaves no listener', async () => {
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, 'removeEventListener');
    const slept = sleep(systemClock, 1000, signal);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(slept).resolves.toBeUndefined();
    expect(removed).toHaveBeenCalledTimes(1);
  });

  test('rejects with the reason as soon as it is aborted, and leaves no timer', async () => {
    const controller = new AbortController();
    const slept = sleep(systemClock, 1000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('rejects at once when it was aborted before', async () => {
    await expect(sleep(systemClock, 1000, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    expect(vi.getTimerCount()).toBe(0);
  });
});

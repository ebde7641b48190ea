import { describe, expect, test, vi } from 'vitest';
import { abortable, SingleFlight } from '../../../src/kernel/single-flight.ts';

/** Work that ends when it is told to, and keeps the signal it got. */
function controlled() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const work = vi.fn((signal: AbortSignal) => {
    signals.push(signal);
    return promise;
  });
  return { work, resolve, reject, signals };
}

describe('SingleFlight', () => {
  test('those who come while it runs share one run and its result', async () => {
    const flights = new SingleFlight<string, string>();
    const { work, resolve } = controlled();
    const waiters = [flights.run('a', work), flights.run('a', work), flights.run('a', work)];
    expect(flights.size).toBe(1);
    resolve('done');
    expect(await Promise.all(waiters)).toEqual(['done', 'done', 'done']);
    expect(work).toHaveBeenCalledTimes(1);
    expect(flights.size).toBe(0);
  });

  test('they share its failure too, and the next begins anew', async () => {
    const flights = new SingleFlight<string, string>();
    const { work, reject } = controlled();
    const waiters = [flights.run('a', work), flights.run('a', work)];
    reject(new Error('no'));
    for (const waiter of waiters) await expect(waiter).rejects.toThrow('no');
    expect(flights.size).toBe(0);
    expect(await flights.run('a', () => Promise.resolve('again'))).toBe('again');
  });

  test('work that throws at once leaves nothing behind', async () => {
    const flights = new SingleFlight<string, string>();
    const failing = (): Promise<string> => {
      throw new Error('at once');
    };
    await expect(flights.run('a', failing)).rejects.toThrow('at once');
    expect(flights.size).toBe(0);
  });

  test('keys do not know each other', async () => {
    const flights = new SingleFlight<string, string>();
    const results = ['a', 'b'].map((key) => flights.run(key, () => Promise.resolve(key)));
    expect(flights.size).toBe(2);
    expect(await Promise.all(results)).toEqual(['a', 'b']);
  });

  test('one who leaves disturbs nobody; the last one ends the run', async () => {
    const flights = new SingleFlight<string, string>();
    const { work, signals } = controlled();
    const [first, second] = [new AbortController(), new AbortController()];
    const waiters = [flights.run('a', work, first.signal), flights.run('a', work, second.signal)];
    first.abort(new Error('first left'));
    await expect(waiters[0]).rejects.toThrow('first left');
    expect(signals[0]?.aborted).toBe(false);
    second.abort(new Error('second left'));
    await expect(waiters[1]).rejects.toThrow('second left');
    expect(signals[0]?.aborted).toBe(true);
    expect(flights.size).toBe(0);
  });

  test('one without a signal keeps it running', async () => {
    const flights = new SingleFlight<string, string>();
    const { work, resolve, signals } = controlled();
    const leaving = new AbortController();
    const left = flights.run('a', work, leaving.signal);
    const staying = flights.run('a', work);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    expect(signals[0]?.aborted).toBe(false);
    resolve('done');
    expect(await staying).toBe('done');
  });

  test('nobody joins a run that is being aborted, and its end does not end the next', async () => {
    const flights = new SingleFlight<string, string>();
    const [old, next] = [controlled(), controlled()];
    const leaving = new AbortController();
    const left = flights.run('a', old.work, leaving.signal);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    const joined = flights.run('a', next.work);
    old.reject(new Error('aborted at last'));
    await vi.waitFor(() => expect(next.work).toHaveBeenCalledTimes(1));
    expect(flights.size).toBe(1);
    const third = flights.run('a', next.work);
    next.resolve('new');
    expect(await Promise.all([joined, third])).toEqual(['new', 'new']);
    expect(next.work).toHaveBeenCalledTimes(1);
  });

  test('one who has left before begins nothing', async () => {
    const flights = new SingleFlight<string, string>();
    const { work } = controlled();
    await expect(flights.run('a', work, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    expect(work).not.toHaveBeenCalled();
  });
});

describe('abortable', () => {
  test('is the promise, or the reason when that comes first', async () => {
    const controller = new AbortController();
    expect(await abortable(Promise.resolve(1), controller.signal)).toBe(1);
    await expect(abortable(Promise.reject(new Error('own')), controller.signal)).rejects.toThrow('own');
    const waiting = abortable(new Promise(() => undefined), controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(abortable(Promise.resolve(1), controller.signal)).rejects.toThrow('enough');
  });

  test('a promise that was given up may fail later without harm', async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const controller = new AbortController();
    const waiting = abortable(promise, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    reject(new Error('nobody listens'));
    await expect(promise).rejects.toThrow('nobody listens');
  });
});

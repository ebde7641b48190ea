/** Time as the domain sees it; tests bring their own. */
export interface Clock {
  /** Wall clock, ms since 1970. For people and records; never compared across nodes, never used for a duration. */
  wallMs(): number;
  /** Monotonic ms, for durations and deadlines inside this process. */
  monotonicMs(): number;
  /** Runs `action` once after `delayMs`; dispose to cancel. Does not keep the process alive. */
  after(delayMs: number, action: () => void): Disposable;
}

/** setTimeout fires at once beyond this delay (2^31 - 1 ms), so longer waits are taken in steps. */
const MAX_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, action) {
    if (delayMs <= 0) return soon(action);
    let remainingMs = delayMs;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const stepMs = Math.min(remainingMs, MAX_TIMER_MS);
      remainingMs -= stepMs;
      timer = setTimeout(() => (remainingMs > 0 ? arm() : action()), stepMs);
      timer.unref();
    };
    arm();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** In a turn of its own, but without the millisecond that is the least of a timer. It keeps the process alive no longer than that. */
function soon(action: () => void): Disposable {
  // One without a reference would not wake a process that waits.
  const immediate = setImmediate(action);
  return { [Symbol.dispose]: () => clearImmediate(immediate) };
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      timer[Symbol.dispose]();
      reject(signal?.reason as Error);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

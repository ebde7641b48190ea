import { backoffMs } from '../kernel/backoff.ts';
import { sleep, type Clock } from '../kernel/clock.ts';
import { LinkedSignal } from '../kernel/linked-signal.ts';
import { abortable } from '../kernel/single-flight.ts';
import { messageOf } from '../kernel/errors.ts';
import type { EngineInfo, RuntimeDriver } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';

/** Between two looks whether the engine is back: less than one a second, jitter included, never all nodes at once. */
const PROBE_BACKOFF = { firstMs: 2_200, capMs: 4_000 };
/** Before a call is repeated that fails again though the engine answers others. */
const REPEAT_BACKOFF = { firstMs: 100, capMs: 10_000 };

/** Why an engine is not available of which nobody has heard yet. */
const NOT_ASKED = 'not asked yet';

/** Whether a call failed because no engine answered, so that it is worth repeating as it is. */
export function isEngineAway(error: unknown): boolean {
  return error instanceof RuntimeError && (error.code === 'engine_unavailable' || error.code === 'timeout');
}

/**
 * Whether the engine answers, as one fact for everybody: who meets a dead engine reports it here and waits here, and
 * only one prober asks.
 */
export class EngineGate {
  readonly #driver: RuntimeDriver;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #dismissal = new AbortController();
  #info: EngineInfo | undefined;
  #failure: string | undefined = NOT_ASKED;
  #probe: Promise<void> | undefined;
  readonly #listeners = new Set<(isAvailable: boolean) => void>();

  constructor(deps: { driver: RuntimeDriver; clock: Clock }) {
    this.#driver = deps.driver;
    this.#clock = deps.clock;
  }

  get isAvailable(): boolean {
    return this.#failure === undefined;
  }

  /** Why it is not available. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** What answered last. */
  get info(): EngineInfo | undefined {
    return this.#info;
  }

  /** Called when it is first known whether the engine answers, and whenever that changes. */
  subscribe(listener: (isAvailable: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Asks the engine once; whether it answers. */
  async look(): Promise<boolean> {
    try {
      this.#info = await this.#driver.info(this.#stop.signal);
      this.#set(undefined);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#set(messageOf(error));
    }
    return this.isAvailable;
  }

  /**
   * For a call that met a dead engine for the `failures`-th time in a row: reports it, and resolves when the engine
   * answers again, later with each failure. Rejects with the signal's reason.
   */
  async recover(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    this.reportFailure(error);
    using waiting = new LinkedSignal([signal, this.#dismissal.signal]);
    if (failures > 1) await sleep(this.#clock, backoffMs(REPEAT_BACKOFF, failures - 1), waiting.signal);
    await this.whenAvailable(waiting.signal);
  }

  /**
   * What a call gives, made again each time that no engine answered it. Fails with whatever else it fails with, or with the signal's
   * reason.
   */
  async persist<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      await this.whenAvailable(signal);
      try {
        return await call();
      } catch (error) {
        signal.throwIfAborted();
        if (!isEngineAway(error)) throw error;
        await this.recover(error, failures, signal);
      }
    }
  }

  /** Resolves at once while the engine answers, else when it does again. Rejects with the signal's reason. */
  async whenAvailable(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.isAvailable) return;
    using waiting = new LinkedSignal([signal, this.#dismissal.signal]);
    await abortable(this.#startProbe(), waiting.signal);
  }

  /** Somebody's call met a dead engine. */
  reportFailure(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#set(messageOf(error));
    void this.#startProbe().catch(() => undefined);
  }

  /** Sends away whoever waits for the engine, or would: they get `reason`. A node that stops has no use for them. */
  dismiss(reason: Error): void {
    this.#dismissal.abort(reason);
  }

  close(): void {
    this.#stop.abort(new DOMException('the node stops', 'AbortError'));
  }

  #startProbe(): Promise<void> {
    this.#probe ??= this.#probeUntilBack().finally(() => (this.#probe = undefined));
    return this.#probe;
  }

  async #probeUntilBack(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      if (await this.look()) return;
      await sleep(this.#clock, backoffMs(PROBE_BACKOFF, attempt), this.#stop.signal);
    }
  }

  #set(failure: string | undefined): void {
    const changed = this.#failure === NOT_ASKED || (failure === undefined) !== this.isAvailable;
    this.#failure = failure;
    if (changed) for (const listener of this.#listeners) listener(this.isAvailable);
  }
}

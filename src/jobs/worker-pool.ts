import PQueue from 'p-queue';
import type { Clock } from '../kernel/clock.ts';
import { invariant } from '../kernel/errors.ts';
import type { JobId } from '../kernel/ids.ts';
import { JobError } from './errors.ts';

export interface WorkerPoolOptions {
  readonly workerCount: number;
  /** How many jobs may wait for a worker. */
  readonly queueSize: number;
  /** How many instances may run at once; 0 is no limit. */
  readonly maxRunning: number;
}

interface Waiting {
  /** Takes it out of the queue again. */
  readonly leave: AbortController;
  /** Until its time comes, for a delayed one. */
  readonly timer: Disposable | undefined;
}

/** What a refused caller is told to wait, for each job in front of it and worker. A start takes about that long. */
const RETRY_AFTER_PER_JOB_MS = 200;
const MAX_RETRY_AFTER_MS = 30_000;

/** Why a job is no longer in the queue. One for all: an error made for each would cost more than the rest of it. */
const LEFT = new Error('left the queue');

/**
 * The workers, and the bound in front of them: p-queue has none of its own. A job waits here, or is worked on with an
 * AbortController of its own; a worker is held until `work` settles.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #clock: Clock;
  readonly #work: (id: JobId, signal: AbortSignal) => Promise<void>;
  readonly #onDone: (id: JobId) => void;
  readonly #queue: PQueue;
  readonly #waiting = new Map<JobId, Waiting>();
  readonly #working = new Map<JobId, AbortController>();
  #reserved = 0;
  #delayed = 0;
  #running = 0;
  #isPaused = false;
  #isCordoned = false;
  #isDraining = false;

  /** `work` must not reject. `onDone` is called when the worker is free again; it may enqueue the job once more. */
  constructor(
    options: WorkerPoolOptions,
    deps: {
      clock: Clock;
      work: (id: JobId, signal: AbortSignal) => Promise<void>;
      onDone: (id: JobId) => void;
    },
  ) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#work = deps.work;
    this.#onDone = deps.onDone;
    this.#queue = new PQueue({ concurrency: options.workerCount, autoStart: false });
  }

  get waiting(): number {
    return this.#waiting.size;
  }
  get delayed(): number {
    return this.#delayed;
  }
  get working(): number {
    return this.#working.size;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }
  /** Whether it begins with nothing as things stand. */
  get isHeld(): boolean {
    return this.#room() === 0;
  }
  get isCordoned(): boolean {
    return this.#isCordoned;
  }
  get isDraining(): boolean {
    return this.#isDraining;
  }

  isWorkingOn(id: JobId): boolean {
    return this.#working.has(id);
  }

  /** Takes a place among the waiting, or throws `draining` or `queue_full`. `enqueue` or `release` must follow. */
  reserve(): void {
    if (this.#isDraining) {
      throw new JobError('draining', 'the node is shutting down and accepts no new jobs', {
        retryable: true,
      });
    }
    if (this.#isCordoned) {
      throw new JobError(
        'draining',
        'the node is drained and accepts no new jobs; `container-manager node undrain` lets it accept them again',
        { retryable: true, details: { next_step: 'undrain it, or ask another node' } },
      );
    }
    const depth = this.#waiting.size + this.#reserved;
    // Who is taken up at once does not wait.
    const idleWorkers = Math.max(0, this.#room() - this.#working.size);
    if (depth >= this.#options.queueSize + idleWorkers) {
      const waitMs = Math.ceil((depth * RETRY_AFTER_PER_JOB_MS) / this.#options.workerCount);
      throw new JobError('queue_full', 'job queue is full', {
        details: { limit: this.#options.queueSize, depth },
        retryable: true,
        retryAfterMs: Math.min(MAX_RETRY_AFTER_MS, Math.max(1_000, waitMs)),
      });
    }
    this.#reserved += 1;
  }

  release(): void {
    invariant(this.#reserved > 0, 'a place is released that was not reserved');
    this.#reserved -= 1;
  }

  /** Lets a job wait for a worker, once `delayMs` are over. */
  enqueue(id: JobId, priority: number, delayMs = 0): void {
    invariant(!this.#waiting.has(id), `job ${id} waits already`);
    const leave = new AbortController();
    if (delayMs <= 0) {
      this.#waiting.set(id, { leave, timer: undefined });
      return this.#add(id, priority, leave.signal);
    }
    this.#delayed += 1;
    const timer = this.#clock.after(delayMs, () => {
      this.#delayed -= 1;
      this.#waiting.set(id, { leave, timer: undefined });
      this.#add(id, priority, leave.signal);
    });
    this.#waiting.set(id, { leave, timer });
  }

  /** Takes a waiting job out; false when it does not wait (any more). */
  dequeue(id: JobId): boolean {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return false;
    this.#waiting.delete(id);
    if (waiting.timer !== undefined) {
      this.#delayed -= 1;
      waiting.timer[Symbol.dispose]();
    }
    waiting.leave.abort(LEFT);
    return true;
  }

  /** Ends the work on a job early; false when nobody works on it. */
  abort(id: JobId, reason: Error): boolean {
    const controller = this.#working.get(id);
    controller?.abort(reason);
    return controller !== undefined;
  }

  start(): void {
    this.#isPaused = false;
    this.#adjust();
  }

  pause(): void {
    this.#isPaused = true;
    this.#adjust();
  }

  /** Whether nothing new is accepted; what waits and what is worked on goes on. */
  setCordoned(isCordoned: boolean): void {
    this.#isCordoned = isCordoned;
  }

  /** How many instances run, as the job log counts them. */
  setRunning(count: number): void {
    this.#running = count;
    if (this.#options.maxRunning > 0) this.#adjust();
  }

  /** Begins no more work and accepts none. Resolves when the work in hand is done; those that wait stay in the store. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#queue.pause();
    for (const id of [...this.#waiting.keys()]) this.dequeue(id);
    await this.#queue.onPendingZero();
  }

  abortAll(reason: Error): void {
    for (const controller of this.#working.values()) controller.abort(reason);
  }

  #add(id: JobId, priority: number, signal: AbortSignal): void {
    this.#queue
      .add(() => this.#run(id), { priority, signal })
      .catch((error: unknown) => {
        // Leaving the queue is no failure; anything else is one that nobody handles.
        if (!signal.aborted) throw error;
      });
  }

  async #run(id: JobId): Promise<void> {
    // The same tick in which it left the queue.
    if (!this.#waiting.delete(id)) return;
    const controller = new AbortController();
    this.#working.set(id, controller);
    try {
      await this.#work(id, controller.signal);
    } finally {
      this.#working.delete(id);
    }
    this.#onDone(id);
  }

  /** How many may be worked on at once as things stand. */
  #room(): number {
    if (this.#isPaused || this.#isDraining) return 0;
    const { workerCount, maxRunning } = this.#options;
    return maxRunning === 0 ? workerCount : Math.max(0, Math.min(workerCount, maxRunning - this.#running));
  }

  #adjust(): void {
    const room = this.#room();
    if (room === 0) return this.#queue.pause();
    this.#queue.concurrency = room;
    this.#queue.start();
  }
}

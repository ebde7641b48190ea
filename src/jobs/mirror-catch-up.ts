import type { Clock } from '../kernel/clock.ts';
import type { JobId } from '../kernel/ids.ts';
import type { Job } from './job.ts';
import type { JobMirror, MirroredJob } from './job-mirror.ts';
import type { JobSnapshot } from './jobs.ts';

/** Longest that an answer is held back, ms: a change is told of within a few ms as a rule. */
const LIMIT_MS = 250;

/**
 * Holds back what an owner has answered until this node has also been told of it, so that it does not take back with the next answer what
 * it has just said: a job that was waited for until it runs is not `starting` again.
 */
export class MirrorCatchUp {
  readonly #mirror: JobMirror;
  readonly #clock: Clock;

  constructor(deps: { mirror: JobMirror; clock: Clock }) {
    this.#mirror = deps.mirror;
    this.#clock = deps.clock;
  }

  /** Gives the answer when the mirror knows as much, after 250 ms, or when the signal is aborted. Never fails. */
  async with(answer: JobSnapshot, signal: AbortSignal): Promise<JobSnapshot> {
    await this.#until(
      answer.job.id,
      (known) => known !== undefined && isAtLeast(known.job, answer.job),
      signal,
    );
    return answer;
  }

  /** The same for a job that its owner has removed. */
  withRemoved({ id, owner }: Job, signal: AbortSignal): Promise<void> {
    return this.#until(id, (known) => known?.job.owner !== owner, signal);
  }

  #until(
    id: JobId,
    isThere: (known: MirroredJob | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (isThere(this.#mirror.find(id))) return Promise.resolve();
    return new Promise((resolve) => {
      const cleanUp = new DisposableStack();
      const finish = (): void => {
        cleanUp.dispose();
        resolve();
      };
      cleanUp.use(this.#clock.after(LIMIT_MS, finish));
      cleanUp.use(
        this.#mirror.subscribe(({ jobId }) => {
          if (jobId === id && isThere(this.#mirror.find(id))) finish();
        }),
      );
      signal.addEventListener('abort', finish, { once: true });
      cleanUp.defer(() => signal.removeEventListener('abort', finish));
      if (signal.aborted) finish();
    });
  }
}

function isAtLeast(known: Job, said: Job): boolean {
  return known.epoch === said.epoch ? known.seq >= said.seq : known.epoch > said.epoch;
}

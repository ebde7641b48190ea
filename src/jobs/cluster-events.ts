import { JobError } from './errors.ts';
import type { JobMirror } from './job-mirror.ts';
import type { EventsOptions, ObservedEvent, OwnJobs } from './jobs.ts';

/** Changes of other nodes' jobs that may wait for a reader; those of this node wait on disk. */
export const MAX_WAITING_EVENTS = 1_000;

/**
 * The events of this node's jobs, all of them in their order, and in between what is learnt of other nodes' jobs while somebody
 * reads. A reader that is too far behind with the latter fails with `invalid_state`: it has to look at the jobs again.
 */
export async function* clusterEvents(
  own: Pick<OwnJobs, 'events'>,
  mirror: Pick<JobMirror, 'subscribe'>,
  { after, signal }: EventsOptions,
): AsyncGenerator<ObservedEvent> {
  const stop = new AbortController();
  let waiting: ObservedEvent[] = [];
  let lostCount = 0;
  let wake = Promise.withResolvers<void>();
  using _subscription = mirror.subscribe((event, owner) => {
    if (waiting.length < MAX_WAITING_EVENTS) waiting.push({ ...event, owner });
    else lostCount += 1;
    wake.resolve();
  });
  const onAbort = (): void => {
    stop.abort(signal.reason);
    wake.resolve();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const ownEvents = own
    .events({ signal: stop.signal, ...(after !== undefined && { after }) })
    [Symbol.asyncIterator]();
  try {
    let next = nextOf(ownEvents, () => wake.resolve());
    for (;;) {
      if (signal.aborted) return;
      const { step } = next;
      if (step !== undefined) {
        const { done, value } = step();
        if (done === true) return;
        next = nextOf(ownEvents, () => wake.resolve());
        yield value;
        continue;
      }
      if (lostCount > 0) throw tooFarBehind(lostCount);
      const learnt = waiting;
      waiting = [];
      for (const event of learnt) {
        if (signal.aborted) return;
        yield event;
      }
      if (learnt.length > 0) continue;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort(new DOMException('nobody reads any more', 'AbortError'));
    ownEvents.return?.().catch(() => undefined);
  }
}

type Step = IteratorResult<ObservedEvent, unknown>;

/** The next event, there to be taken (or the failure, to be thrown) once `onSettled` has been called. */
function nextOf(events: AsyncIterator<ObservedEvent>, onSettled: () => void): { step?: () => Step } {
  const next: { step?: () => Step } = {};
  events.next().then(
    (result) => {
      next.step = () => result;
      onSettled();
    },
    (error: unknown) => {
      next.step = () => {
        throw error;
      };
      onSettled();
    },
  );
  return next;
}

function tooFarBehind(count: number): JobError {
  return new JobError(
    'invalid_state',
    `${count} changes of other nodes' jobs came faster than they were read; list the jobs and follow from now`,
    { details: { lost: count, limit: MAX_WAITING_EVENTS } },
  );
}

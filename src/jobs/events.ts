import { invariant } from '../kernel/errors.ts';
import { JobError } from './errors.ts';
import type { JobEvent } from './job.ts';
import type { JobLog } from './job-log.ts';
import type { EventsOptions } from './jobs.ts';
import type { JobStore } from './job-store.ts';

/** Events read from the store at once for a subscriber that is behind. */
const PAGE_SIZE = 500;

/**
 * Committed events in order, from a place in the log on, for ever. A subscriber costs no buffer: it remembers how far
 * it has come and reads the next page from the store when it is ready for it, woken by the log.
 */
export async function* followEvents(
  log: JobLog,
  store: JobStore,
  options: EventsOptions,
): AsyncGenerator<JobEvent> {
  const { signal } = options;
  let wake = Promise.withResolvers<void>();
  let latestSeq = 0;
  using _subscription = log.subscribe((event) => {
    latestSeq = event.seq;
    wake.resolve();
  });
  const onAbort = (): void => wake.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let seq = startingPoint(store, options);
    for (;;) {
      if (seq < store.eventFloor()) throw notKept(store, { epoch: store.epoch, seq });
      const upTo = latestSeq;
      const page = store.eventsAfter(seq, PAGE_SIZE);
      for (const event of page) {
        if (signal.aborted) return;
        invariant(event.seq > seq, 'events come in order');
        seq = event.seq;
        yield event;
      }
      if (page.length === PAGE_SIZE) continue;
      // What is not on a short page is not kept any more.
      seq = Math.max(seq, upTo);
      if (latestSeq > seq) continue;
      if (signal.aborted) return;
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function startingPoint(store: JobStore, options: EventsOptions): number {
  const { after } = options;
  if (after === undefined) return store.lastSeq;
  if (after.epoch === store.epoch && after.seq >= store.eventFloor() && after.seq <= store.lastSeq)
    return after.seq;
  throw notKept(store, after);
}

function notKept(store: JobStore, after: { readonly epoch: number; readonly seq: number }): JobError {
  return new JobError(
    'invalid_state',
    `events after ${after.epoch}-${after.seq} are not kept any more; list the jobs and follow from now`,
    {
      details: { after: `${after.epoch}-${after.seq}`, kept_from: `${store.epoch}-${store.eventFloor()}` },
    },
  );
}

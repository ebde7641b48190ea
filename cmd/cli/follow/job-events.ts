import type { RpcClient } from '../../../src/api/client.ts';
import type { JobEventView } from '../../../src/api/wire.ts';

/** Every event of one job from its first to its last, each once, whatever happens to the connection in between. */
export async function* eventsOfJob(
  client: RpcClient,
  jobId: string,
  options: { readonly signal: AbortSignal; readonly onBroken: (error: Error) => void },
): AsyncGenerator<JobEventView> {
  let lastSeen: JobEventView | undefined;
  // A removal is the last there is, wherever it stands: of a node that was forgotten, nothing is known to say where.
  const isNew = (event: JobEventView): boolean =>
    lastSeen === undefined || event.type === 'removed' || isAfter(event.id, lastSeen.id);
  // It may have been placed on another node.
  for await (const message of client.streamEvents({ ...options, follow: true, allNodes: true })) {
    // What happened before the stream began is in the history, and the two overlap.
    const events =
      message.kind === 'job'
        ? [message.event].filter(({ job_id }) => job_id === jobId)
        : (await client.call('JobService.History', { job_id: jobId })).events;
    for (const event of events.filter(isNew)) {
      lastSeen = event;
      yield event;
    }
  }
}

/** Whether an event's id, `epoch-seq`, stands after another. */
export function isAfter(id: string, other: string): boolean {
  const [epoch = 0, seq = 0] = id.split('-').map(Number);
  const [otherEpoch = 0, otherSeq = 0] = other.split('-').map(Number);
  return epoch > otherEpoch || (epoch === otherEpoch && seq > otherSeq);
}

import { RpcClient } from '../../../src/api/client.ts';
import type { JobEventView } from '../../../src/api/wire.ts';
import type { Member } from '../../support/cluster-processes.ts';

/** States of one attempt, in the order in which they follow each other. */
const RANKS: Readonly<Record<JobEventView['type'], number>> = {
  pending: 0,
  pulling: 1,
  starting: 2,
  running: 3,
  stopping: 4,
  complete: 5,
  failed: 5,
  cancelled: 5,
  removed: 6,
};

/** Follows the events of all nodes on each node, and keeps what was told out of order. */
export class OrderWatch implements AsyncDisposable {
  /** One line for each time that a node told of a job what was older than what it had told before. */
  readonly stepsBack: string[] = [];
  /** Events of other nodes' jobs, on all nodes together. */
  heardCount = 0;
  readonly #stop = new AbortController();
  readonly #followers: Promise<void>[];

  constructor(members: readonly Member[]) {
    this.#followers = members.map((member) => this.#follow(member));
    // It is told when this is disposed.
    for (const follower of this.#followers) follower.catch(() => undefined);
  }

  /** Fails when a stream broke. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#followers);
  }

  async #follow({ id, home }: Member): Promise<void> {
    const client = new RpcClient({ address: `127.0.0.1:${home.port}` });
    const last = new Map<string, JobEventView>();
    const options = { allNodes: true, follow: true, signal: this.#stop.signal };
    for await (const message of client.streamEvents(options)) {
      if (message.kind !== 'job') continue;
      const { event } = message;
      const before = last.get(event.job_id);
      last.set(event.job_id, event);
      if (event.owner !== undefined) this.heardCount += 1;
      if (before !== undefined && isBefore(event, before))
        this.stepsBack.push(`${id}: ${JSON.stringify(event)} after ${JSON.stringify(before)}`);
    }
  }
}

function isBefore(event: JobEventView, other: JobEventView): boolean {
  return isLower(placeOf(event), placeOf(other)) || isLower(progressOf(event), progressOf(other));
}

/** In the log of its owner: epoch, and number. */
function placeOf({ id }: JobEventView): readonly number[] {
  return id.split('-').map(Number);
}

function progressOf({ attempt, type }: JobEventView): readonly number[] {
  return [attempt, RANKS[type]];
}

/** The first difference counts. */
function isLower(one: readonly number[], other: readonly number[]): boolean {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at !== -1 && (one[at] ?? 0) < (other[at] ?? 0);
}

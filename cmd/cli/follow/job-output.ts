import { setTimeout as delay } from 'node:timers/promises';
import { RpcError, type RpcClient } from '../../../src/api/client.ts';
import type { LogEntry } from '../../../src/api/wire.ts';

/** Between two looks at a container that has ended while its job has not: it is about to be started again. */
const RESTART_LOOK_MS = 300;

/** Hands out what the container of a job writes, once, also when the node starts it again. */
export class JobOutput {
  readonly #client: RpcClient;
  readonly #jobId: string;
  readonly #print: (entry: LogEntry) => Promise<void>;
  /** Where the next reading begins. */
  #since: string | undefined;

  constructor(client: RpcClient, jobId: string, print: (entry: LogEntry) => Promise<void>) {
    this.#client = client;
    this.#jobId = jobId;
    this.#print = print;
  }

  /** Resolves when the job is over (`isOver` is aborted) and everything it wrote has been handed out. */
  async follow(isOver: AbortSignal): Promise<void> {
    while (!isOver.aborted) {
      await this.#read(true);
      await delay(RESTART_LOOK_MS, undefined, { signal: isOver }).catch(() => undefined);
    }
    await this.#read(false);
  }

  /** What a job that never ran may have left: nothing, or the last words of a container that did not get up. */
  async rest(): Promise<void> {
    try {
      await this.#read(false);
    } catch (error) {
      const hasNone =
        error instanceof RpcError && (error.code === 'invalid_state' || error.code === 'not_found');
      if (!hasNone) throw error;
    }
  }

  async #read(follow: boolean): Promise<void> {
    let hasPrinted = false;
    const since = this.#since;
    for await (const entry of this.#client.streamLogs(this.#jobId, {
      follow,
      ...(since !== undefined && { since }),
    })) {
      hasPrinted = true;
      await this.#print(entry);
    }
    if (hasPrinted && follow) this.#since = await this.#afterLastLine();
  }

  /** A start takes far longer than a millisecond, so nothing that comes after it is left out. */
  async #afterLastLine(): Promise<string | undefined> {
    const params = { job_id: this.#jobId, tail: 1, timestamps: true };
    const { entries } = await this.#client.call('ContainerService.Logs', params);
    const [time = ''] = (entries.at(-1)?.line ?? '').split(' ', 1);
    const atMs = Date.parse(time);
    return Number.isNaN(atMs) ? this.#since : new Date(atMs + 1).toISOString();
  }
}

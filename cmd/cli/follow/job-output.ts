import { setTimeout as delay } from 'node:timers/promises';
import { RpcError, type RpcClient } from '../../../src/api/client.ts';
import type { LogEntry } from '../../../src/api/wire.ts';

/** Between two looks at a container that has ended while its job has not: it is about to be started again. */
const RESTART_LOOK_MS = 300;
/** Among so many is the latest line. */
const LAST_LINES = 20;

type LogReader = Pick<RpcClient, 'call' | 'streamLogs'>;

/** Hands out what the container of a job writes, once, also when the node starts it again. */
export class JobOutput {
  readonly #client: LogReader;
  readonly #jobId: string;
  readonly #print: (entry: LogEntry) => Promise<void>;
  /** Where the next reading begins. */
  #since: string | undefined;

  constructor(client: LogReader, jobId: string, print: (entry: LogEntry) => Promise<void>) {
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

  /**
   * The engine writes what comes on the two outputs side by side, so that the last line need not be the latest. A start
   * takes far longer than a millisecond, so nothing that comes after it is left out.
   */
  async #afterLastLine(): Promise<string | undefined> {
    const params = { job_id: this.#jobId, tail: LAST_LINES, timestamps: true };
    const { entries } = await this.#client.call('ContainerService.Logs', params);
    const timesMs = entries.map(({ line }) => Date.parse(line.split(' ', 1)[0] ?? ''));
    const latestMs = Math.max(...timesMs.filter((timeMs) => !Number.isNaN(timeMs)));
    return Number.isFinite(latestMs) ? new Date(latestMs + 1).toISOString() : this.#since;
  }
}

import type { RpcClient } from '../../../src/api/client.ts';
import type { PullView } from '../../../src/api/wire.ts';
import { bytes, elapsed, percent } from '../screen/format.ts';
import type { LiveLine } from '../screen/live-line.ts';

/** How often a pull is looked at. */
const LOOK_MS = 200;
const BAR_COLUMNS = 24;

/** Shows how far the pull of a job has come, until it is disposed of. On anything but a terminal it does nothing. */
export class PullBar implements AsyncDisposable {
  readonly #client: RpcClient;
  readonly #jobId: string;
  readonly #line: LiveLine;
  readonly #over = new AbortController();
  readonly #startedAtMs = performance.now();
  readonly #done: Promise<void>;

  constructor(client: RpcClient, jobId: string, line: LiveLine) {
    this.#client = client;
    this.#jobId = jobId;
    this.#line = line;
    this.#done = line.isPossible ? this.#run() : Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#done;
    await this.#line.clear();
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      // It is only a picture: a look that fails is left out.
      const job = await this.#client
        .call('JobService.Get', { job_id: this.#jobId }, { signal })
        .catch(() => undefined);
      if (job?.pull !== undefined && !signal.aborted) {
        await this.#line.show(pullLine(job.pull, performance.now() - this.#startedAtMs));
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS);
        signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  }
}

/** `[#########---------------]  38%  12.3 MiB of 32.1 MiB  2/5 layers  4.2s`. */
export function pullLine(pull: PullView, elapsedMs: number): string {
  const { downloaded_bytes: done, total_bytes: total } = pull;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const filled = Math.floor(share * BAR_COLUMNS);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_COLUMNS - filled)}]`;
  // Everything is here, and the engine unpacks it.
  const layers = `${pull.layers_done}/${pull.layers_total} layers${share === 1 ? ' unpacked' : ''}`;
  const amount = `${bytes(done)} of ${bytes(total)}`;
  return [bar, percent(done, total).padStart(4), amount, layers, elapsed(elapsedMs)].join('  ');
}

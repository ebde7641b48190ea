import { constants } from 'node:os';
import type { InstanceId } from '../../src/kernel/ids.ts';
import type {
  InstanceExit,
  InstancePlan,
  InstanceState,
  InstanceStats,
  InstanceSummary,
  InstanceView,
  LogChunk,
  LogsOptions,
  PortPlan,
} from '../../src/runtime/driver.ts';
import type { FileTree } from './fake-files.ts';

interface LogLine {
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** Older lines are forgotten, as with a log of bounded size. */
const MAX_LOG_LINES = 10_000;

/** One instance of the fake engine. */
export class FakeInstance {
  readonly id: InstanceId;
  readonly plan: InstancePlan;
  readonly files: FileTree;
  readonly #imageId: string;
  readonly #createdAtMs: number;
  readonly #lines: LogLine[] = [];
  readonly #followers = new Set<() => void>();
  state: InstanceState = 'created';
  health: InstanceView['health'] = 'none';
  ports: readonly PortPlan[] = [];
  /** How often it was started. */
  run = 0;
  #startedAtMs: number | undefined;
  #exit: InstanceExit | undefined;

  constructor(
    id: InstanceId,
    plan: InstancePlan,
    image: { readonly id: string; readonly files: FileTree },
    createdAtMs: number,
  ) {
    this.id = id;
    this.plan = plan;
    this.files = image.files;
    this.#imageId = image.id;
    this.#createdAtMs = createdAtMs;
  }

  get isUp(): boolean {
    return this.state === 'running' || this.state === 'paused';
  }

  begin(atMs: number, ports: readonly PortPlan[]): void {
    this.state = 'running';
    this.run += 1;
    this.ports = ports;
    this.#startedAtMs = atMs;
    this.#exit = undefined;
    this.health = this.plan.healthcheck === undefined ? 'none' : 'starting';
  }

  /** False when it was not running. */
  end(atMs: number, exitCode: number, options: { oomKilled?: boolean; message?: string } = {}): boolean {
    if (!this.isUp) return false;
    this.state = 'exited';
    this.ports = [];
    this.#exit = {
      exitCode,
      signal: signalOf(exitCode),
      oomKilled: options.oomKilled ?? false,
      finishedAtMs: atMs,
      message: options.message,
    };
    for (const wake of this.#followers) wake();
    return true;
  }

  write(atMs: number, stream: 'stdout' | 'stderr', text: string): void {
    if (this.#lines.length >= MAX_LOG_LINES) this.#lines.shift();
    this.#lines.push({ atMs, stream, text });
    for (const wake of this.#followers) wake();
  }

  summary(): InstanceSummary {
    const { id, plan, state } = this;
    return { id, name: plan.name, labels: plan.labels, state, createdAtMs: this.#createdAtMs };
  }

  view(): InstanceView {
    return {
      id: this.id,
      name: this.plan.name,
      labels: this.plan.labels,
      state: this.state,
      createdAtMs: this.#createdAtMs,
      imageId: this.#imageId,
      startedAtMs: this.#startedAtMs,
      exit: this.#exit,
      health: this.health,
      address: this.isUp && this.plan.network !== 'none' ? '127.0.0.1' : undefined,
      ports: this.ports,
    };
  }

  stats(): InstanceStats {
    return {
      cpus: 0.5,
      memoryBytes: Math.min(1024 ** 2, this.plan.memoryBytes),
      memoryLimitBytes: this.plan.memoryBytes,
      networkReceivedBytes: 0,
      networkSentBytes: 0,
      blockReadBytes: 0,
      blockWrittenBytes: 0,
      pids: 1,
    };
  }

  async *logs(options: LogsOptions): AsyncIterable<LogChunk> {
    const since = options.sinceMs ?? 0;
    let last = this.#lines.at(-1);
    const past = this.#lines.filter((line) => line.atMs >= since);
    const shown = options.tail === undefined ? past : past.slice(Math.max(0, past.length - options.tail));
    for (const line of shown) yield toChunk(line, options);
    if (options.follow !== true) return;
    while (options.signal?.aborted !== true) {
      const fresh = this.#lines.slice(last === undefined ? 0 : this.#lines.lastIndexOf(last) + 1);
      last = this.#lines.at(-1);
      for (const line of fresh) yield toChunk(line, options);
      if (fresh.length > 0) continue;
      if (!this.isUp) return;
      await this.#change(options.signal);
    }
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#followers.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#followers.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }
}

function toChunk(line: LogLine, options: LogsOptions): LogChunk {
  const time = options.timestamps === true ? `${new Date(line.atMs).toISOString()} ` : '';
  return { stream: line.stream, data: Buffer.from(time + line.text) };
}

function signalOf(exitCode: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0];
}

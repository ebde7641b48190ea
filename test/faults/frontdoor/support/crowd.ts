import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface CrowdTask {
  readonly port: number;
  /** Of one client each. */
  readonly requests: readonly string[];
  /** Whoever is led somewhere leaves so much later; otherwise with the crowd, ms. */
  readonly stayMs?: number;
}

export interface CrowdAnswers {
  /** How often each came; empty for an end without an answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** How many were told when to come again. */
  readonly toldWhen: number;
}

/** Many clients at once, in a process of their own: their connections are not counted among those of the node. Dispose to end them. */
export class Crowd implements AsyncDisposable {
  /** Once the last of them has its answer. */
  readonly answers: Promise<CrowdAnswers>;
  readonly #child: ChildProcess;

  constructor(task: CrowdTask) {
    this.#child = fork(join(import.meta.dirname, 'crowd-program.ts'), { execArgv: [] });
    this.answers = once(this.#child, 'message').then(([answers]) => answers as CrowdAnswers);
    this.#child.send(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

import { fork, type ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from './suite.ts';

/** For one answer of a child; a round takes seconds. */
const ANSWER_TIMEOUT_MS = 120_000;
/** Of the log of a child that died. */
const MAX_LAST_WORDS_LENGTH = 2_000;
const CHILDREN = join(import.meta.dirname, 'children');

export type Ask = { readonly id: number; readonly name: string; readonly value: unknown };
export type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string };

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A program of the benchmark in a process of its own, asked over IPC. It ends by itself when this process does, and
 * what it logs goes to a file in the work directory.
 */
export class Child implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor(name: string, context: BenchContext) {
    this.#name = name;
    const logFile = join(context.workDir, `${name}.log`);
    const log = openSync(logFile, 'a');
    const { profileDir } = context;
    this.#process = fork(join(CHILDREN, `${name}.ts`), [], {
      execArgv: profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profileDir, name)}`],
      stdio: ['ignore', log, log, 'ipc'],
    });
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#process.once('exit', (code, signal) => {
      const lastWords = readFileSync(logFile, 'utf8').slice(-MAX_LAST_WORDS_LENGTH);
      const error = new Error(`${name} ended (${signal ?? code}): ${lastWords}`);
      for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(error);
    });
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error(`${this.#name} did not start`);
    return pid;
  }

  /** Resolves with what the child answers; fails when it failed, is gone, or takes too long. */
  ask<Result>(name: string, value?: unknown): Promise<Result> {
    const id = this.#nextId++;
    return new Promise<Result>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#take(id)?.reject(
          new Error(`${this.#name} has not answered ${name} in ${ANSWER_TIMEOUT_MS} ms`),
        );
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#process.send({ id, name, value } satisfies Ask, (error) => {
        if (error !== null) this.#take(id)?.reject(error);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    if (this.#process.connected) this.#process.disconnect();
    await ended;
  }

  #settle(answer: Answer): void {
    const waiting = this.#take(answer.id);
    if (answer.error === undefined) waiting?.resolve(answer.value as never);
    else waiting?.reject(new Error(`${this.#name}: ${answer.error}`));
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../child.ts';
import type { BenchContext } from '../suite.ts';
import type { Spent, Talk, TalkerStart, Words } from './talker.ts';

/** Until all of them are connected with all others, and stay so. */
const MEETING_LIMIT_MS = 60_000;
const LOOK_INTERVAL_MS = 100;
/** After it the ways of what is told have settled: gossipsub looks after its mesh once a second. */
const SETTLE_MS = 3_000;
/** When nothing has come for so long, nothing will. */
const QUIET_MS = 500;
const QUIET_LIMIT_MS = 30_000;

/** Several processes of one kind, each connected with every other. */
export class Fleet implements AsyncDisposable {
  readonly children: readonly Child[];

  private constructor(children: readonly Child[]) {
    this.children = children;
  }

  static async start(kind: string, size: number, context: BenchContext): Promise<Fleet> {
    await using parts = new AsyncDisposableStack();
    const children: Child[] = [];
    const bootstrap: string[] = [];
    for (let index = 0; index < size; index += 1) {
      const child = parts.use(new Child(kind, context));
      const directory = mkdtempSync(join(context.workDir, `${kind}-`));
      bootstrap.push(await child.ask<string>('start', { directory, bootstrap } satisfies TalkerStart));
      children.push(child);
    }
    const fleet = new Fleet(children);
    await fleet.#askAll('listen');
    await fleet.#untilMet();
    parts.move();
    return fleet;
  }

  /** All of them say something, `perSecond` and `seconds` of it together; resolves with what was said and heard. */
  async talk(perSecond: number, seconds: number): Promise<Words[]> {
    const size = this.children.length;
    await this.#askAll('take');
    await Promise.all(
      this.children.map((child, index) =>
        child.ask('talk', {
          perSecond: perSecond / size,
          count: Math.ceil((perSecond * seconds) / size),
          delayMs: (index * 1000) / perSecond,
        } satisfies Talk),
      ),
    );
    await this.#untilQuiet();
    return this.#askAll<Words>('take');
  }

  /** What each of them has spent since it began. */
  spent(): Promise<Spent[]> {
    return this.#askAll<Spent>('spent');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.children.map((child) => child[Symbol.asyncDispose]()));
  }

  #askAll<Result>(name: string): Promise<Result[]> {
    return Promise.all(this.children.map((child) => child.ask<Result>(name)));
  }

  async #untilQuiet(): Promise<void> {
    const heard = async (): Promise<number> =>
      (await this.#askAll<number>('heard')).reduce((sum, count) => sum + count, 0);
    let before = await heard();
    for (const deadlineMs = performance.now() + QUIET_LIMIT_MS; performance.now() < deadlineMs;) {
      await delay(QUIET_MS);
      const now = await heard();
      if (now === before) return;
      before = now;
    }
  }

  async #untilMet(): Promise<void> {
    const others = this.children.length - 1;
    for (const deadlineMs = performance.now() + MEETING_LIMIT_MS; ;) {
      const counts = await this.#askAll<number>('connected');
      if (counts.every((count) => count === others)) break;
      if (performance.now() > deadlineMs)
        throw new Error(`not all have met: ${counts.join(', ')} of ${others}`);
      await delay(LOOK_INTERVAL_MS);
    }
    await delay(SETTLE_MS);
  }
}

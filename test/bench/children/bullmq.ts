import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The part of BullMQ that is measured. */
export interface BullmqQueue {
  add(
    name: string,
    data: unknown,
    options: { jobId: string; removeOnComplete: { count: number } },
  ): Promise<unknown>;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

export interface BullmqWorker {
  on(event: 'completed', listener: (job: { id?: string }) => void): unknown;
  on(event: 'failed', listener: (job: unknown, error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

interface Connection {
  readonly connection: { readonly host: string; readonly port: number };
}

interface Bullmq {
  readonly Queue: new (name: string, options: Connection) => BullmqQueue;
  readonly Worker: new (
    name: string,
    work: () => Promise<unknown>,
    options: Connection & { readonly concurrency: number },
  ) => BullmqWorker;
}

/** No package of the project: the set-up for the benchmarks brings it, and only then is it there. */
export function loadBullmq(): Bullmq {
  const folder = join(import.meta.dirname, '..', '.rivals', 'package.json');
  try {
    return createRequire(folder)('bullmq') as Bullmq;
  } catch (error) {
    throw new Error('bullmq is not installed; run: npm run bench', { cause: error });
  }
}

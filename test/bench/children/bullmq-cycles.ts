import { timeInFlight } from '../measure/in-flight.ts';
import type { Cycles } from './job-cycles.ts';
import { loadBullmq, type BullmqQueue, type BullmqWorker } from './bullmq.ts';
import { serveParent } from './parent.ts';

export interface BullmqStart {
  readonly port: number;
  readonly keepCount: number;
  readonly concurrency: number;
}

const NAME = 'bench';
/** What a job of ours carries, too. */
const DATA = { image: 'test', arguments: [], resources: {}, env: {} };

let queue: BullmqQueue | undefined;
let worker: BullmqWorker | undefined;
let keepCount = 0;
/** Who waits for a job to complete; the event may come before `add` has answered. */
const waiting = new Map<string, () => void>();
let nextId = 1;

/** The worker says `completed` once Redis has answered, which with `appendfsync always` is once it is on disk. */
async function cycle(): Promise<void> {
  const jobId = `cycle-${nextId++}`;
  const completed = new Promise<void>((resolve) => waiting.set(jobId, resolve));
  await queue?.add('deploy', DATA, { jobId, removeOnComplete: { count: keepCount } });
  await completed;
}

serveParent(
  {
    start: async (options: BullmqStart) => {
      keepCount = options.keepCount;
      const { Queue, Worker } = loadBullmq();
      const connection = { host: '127.0.0.1', port: options.port };
      queue = new Queue(NAME, { connection });
      worker = new Worker(NAME, async () => undefined, { connection, concurrency: options.concurrency });
      worker.on('completed', ({ id = '' }) => {
        waiting.get(id)?.();
        waiting.delete(id);
      });
      worker.on('failed', (_job, error) => {
        throw error;
      });
      await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
    },
    run: ({ count, inFlight }: Cycles) => timeInFlight(count, inFlight, cycle),
  },
  async () => {
    await worker?.close();
    await queue?.close();
  },
);

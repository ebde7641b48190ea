import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../../../src/jobs/job-store.ts';
import { AckWriter } from './acks.ts';
import { liveOneJob, submit } from './job-lives.ts';
import { openStore, type OpenStore } from './open-store.ts';

/**
 * A process that writes to a store until it is ended, and writes down what was acknowledged to it. As a node does, it
 * exits with 1 when its store has failed.
 */

export interface WriterTask {
  readonly directory: string;
  readonly ackFile: string;
  /**
   * `lives`: jobs from submission to end, on and on, in `lanes` lanes; `one-by-one`: `count` commits; `burst`: `count`
   * submissions in one turn; `checkpoints`: the write-ahead log grown beyond its bound and given back, on and on.
   */
  readonly work: 'lives' | 'one-by-one' | 'burst' | 'checkpoints';
  readonly lanes?: number;
  readonly count?: number;
  /** The control of the power cuts: commits that do not wait for the disk. */
  readonly isUnsafe?: boolean;
}

const DEFAULT_LANES = 16;
/** 150 jobs of 120 KB each are more than the write-ahead log may keep. */
const BIG_JOBS = 150;
const BIG_ARGUMENTS = 4;

function die(acks: AckWriter, error: unknown): never {
  const code = error instanceof StoreError ? error.code : 'unexpected';
  acks.fatal(code);
  process.stderr.write(`${String(error)}\n`);
  process.exit(code === 'unexpected' ? 70 : 1);
}

/** Opens the store with every commit reaching only the page cache: what the real one must never do. */
function openUnsafely(open: () => OpenStore): OpenStore {
  const seen: DatabaseSync[] = [];
  const exec = Object.getOwnPropertyDescriptor(DatabaseSync.prototype, 'exec')?.value as DatabaseSync['exec'];
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    seen.push(this);
    return exec.call(this, sql);
  };
  const opened = open();
  DatabaseSync.prototype.exec = exec;
  for (const database of new Set(seen)) {
    // A checkpoint waits for the disk all the same; on a slow one most cuts would fall into it, and lose nothing.
    if (database.isOpen) database.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0');
  }
  return opened;
}

async function work(task: WriterTask, opened: OpenStore, acks: AckWriter): Promise<void> {
  const { log, store } = opened;
  let index = 0;
  const lane = async (): Promise<void> => {
    for (;;) await liveOneJob(log, acks, (index += 1));
  };
  switch (task.work) {
    case 'lives':
      await Promise.all(Array.from({ length: task.lanes ?? DEFAULT_LANES }, lane));
      return;
    case 'one-by-one':
      for (; index < (task.count ?? 1); index += 1) await submit(log, acks, index);
      return;
    case 'burst':
      await Promise.all(Array.from({ length: task.count ?? 1 }, (_, place) => submit(log, acks, place)));
      return;
    case 'checkpoints':
      for (;;) {
        const submissions = Array.from({ length: BIG_JOBS }, () =>
          submit(log, acks, (index += 1), BIG_ARGUMENTS),
        );
        await Promise.all(submissions);
        await store.compact(0);
      }
  }
}

const task = JSON.parse(process.argv[2] ?? '') as WriterTask;
const acks = new AckWriter(task.ackFile);
process.on('uncaughtException', (error) => die(acks, error));
try {
  const open = (): OpenStore => openStore(task.directory, { onFatal: (error) => die(acks, error) });
  const opened = task.isUnsafe === true ? openUnsafely(open) : open();
  await work(task, opened, acks);
  opened[Symbol.dispose]();
} catch (error) {
  die(acks, error);
}

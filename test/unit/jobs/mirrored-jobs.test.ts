import { beforeEach, describe, expect, it } from 'vitest';
import type { Job, JobEvent } from '../../../src/jobs/job.ts';
import { MirroredJobs, type RecordSource, type SourceRecord } from '../../../src/jobs/mirrored-jobs.ts';
import { encodeRecord } from '../../../src/jobs/record.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { newJobId, type JobId, type NodeId } from '../../../src/kernel/ids.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';
import { settle, SteppedClock } from '../../support/stepped-clock.ts';

const ANNA = '12D3KooWAnna' as NodeId;
const BERT = '12D3KooWBert' as NodeId;
const SILENT_MS = 20_000;

/** What a newer version of this program may write. */
const UNREADABLE = Buffer.from('{"v":99}');

class Source implements RecordSource {
  readonly records: SourceRecord[] = [];
  ageMs = 0;
  /** Keys that peers were asked for, and how to answer. */
  readonly asked: { readonly key: string; readonly signal: AbortSignal; readonly answer: () => void }[] = [];
  #listener: ((record: SourceRecord) => void) | undefined;

  recordsOf(key: string): SourceRecord[] {
    return this.records.filter((record) => record.key === key);
  }

  list(): SourceRecord[] {
    return this.records;
  }

  ageMsOf(): number {
    return this.ageMs;
  }

  subscribe(listener: (record: SourceRecord) => void): Disposable {
    this.#listener = listener;
    return { [Symbol.dispose]: () => (this.#listener = undefined) };
  }

  locate(key: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
      this.asked.push({ key, signal, answer: resolve });
    });
  }

  tell(record: SourceRecord): void {
    this.records.push(record);
    this.#listener?.(record);
  }
}

let clock: SteppedClock;
let source: Source;
let mirror: MirroredJobs;
let job: Job;

beforeEach(async () => {
  clock = new SteppedClock();
  source = new Source();
  mirror = new MirroredJobs({ silentMs: SILENT_MS }, { source, clock });
  ({ job } = await new FakeJobs({ owner: ANNA }).create(jobSpecSchema.parse({ image: 'x' }), 'local'));
});

function record(owner: NodeId, body: Uint8Array | undefined = encodeRecord(job)): SourceRecord {
  return { owner, key: job.id, epoch: 7, seq: 3, body };
}

const duplicate = (): Uint8Array =>
  encodeRecord({
    ...job,
    state: 'cancelled',
    outcome: { reason: 'duplicate', message: 'gave way', retryable: false },
  });

describe('a job of another node', () => {
  it('is shown as its owner told of it, at the place of its record', () => {
    source.tell(record(ANNA));
    expect(mirror.find(job.id)).toMatchObject({
      job: { id: job.id, owner: ANNA, epoch: 7, seq: 3, state: job.state },
      ageMs: 0,
      isLost: false,
    });
    expect(mirror.list({ limit: 10 }).map((found) => found.job.id)).toEqual([job.id]);
  });

  it('is lost when its owner was not heard for 20 s', () => {
    source.tell(record(ANNA));
    source.ageMs = SILENT_MS;
    expect(mirror.find(job.id)?.isLost).toBe(false);
    source.ageMs = SILENT_MS + 1;
    expect(mirror.find(job.id)).toMatchObject({ isLost: true, ageMs: SILENT_MS + 1 });
  });

  it('that several owners have is that of the one that did not give way', () => {
    source.tell(record(ANNA, duplicate()));
    expect(mirror.find(job.id)?.job.owner).toBe(ANNA);
    source.tell(record(BERT));
    expect(mirror.find(job.id)?.job.owner).toBe(BERT);
  });

  it('is not known when it was removed, and then it is known that it was', () => {
    expect(mirror.wasRemoved(job.id)).toBe(false);
    source.tell({ ...record(ANNA), body: undefined });
    expect(mirror.find(job.id)).toBeUndefined();
    expect(mirror.wasRemoved(job.id)).toBe(true);
    source.tell(record(BERT));
    expect(mirror.wasRemoved(job.id)).toBe(false);
  });

  it('that cannot be read is neither found, nor listed, nor told of', () => {
    const events: JobEvent[] = [];
    using _subscription = mirror.subscribe((event) => events.push(event));
    source.tell(record(ANNA, UNREADABLE));
    expect(mirror.find(job.id)).toBeUndefined();
    expect(mirror.list({ limit: 10 })).toEqual([]);
    source.tell(record(BERT));
    expect(mirror.find(job.id)?.job.owner).toBe(BERT);
    expect(events).toHaveLength(1);
  });

  it('is told of with what became of it, also when it was removed', () => {
    const events: JobEvent[] = [];
    using _subscription = mirror.subscribe((event) => events.push(event));
    source.tell(record(ANNA, duplicate()));
    source.tell({ ...record(ANNA), body: undefined, seq: 4 });
    expect(events).toMatchObject([
      { epoch: 7, seq: 3, jobId: job.id, type: 'cancelled', reason: 'duplicate', message: 'gave way' },
      { epoch: 7, seq: 4, jobId: job.id, type: 'removed', reason: undefined },
    ]);
  });
});

describe('a question to the peers', () => {
  it('is answered with what has come by then', async () => {
    const answer = mirror.ask(job.id);
    await settle();
    source.tell(record(ANNA));
    source.asked[0]!.answer();
    expect((await answer)?.job.id).toBe(job.id);
  });

  it('is over after a second, whoever does not answer', async () => {
    let answered: unknown = 'not yet';
    void mirror.ask(job.id).then((found) => (answered = found));
    await clock.advance(999);
    expect(answered).toBe('not yet');
    await clock.advance(1);
    expect(answered).toBeUndefined();
    expect(source.asked[0]!.signal.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('is asked once for all who want to know', async () => {
    const answers = Promise.all([mirror.ask(job.id), mirror.ask(job.id)]);
    await settle();
    expect(source.asked.map(({ key }) => key)).toEqual([job.id]);
    source.asked[0]!.answer();
    expect(await answers).toEqual([undefined, undefined]);
  });

  it('is one of 64 at most; one more is refused, but may join another', async () => {
    const ids: JobId[] = Array.from({ length: 64 }, () => newJobId(0));
    const answers = ids.map((id) => mirror.ask(id));
    await settle();
    await expect(mirror.ask(newJobId(0))).rejects.toMatchObject({ code: 'too_many_waits' });
    const joined = mirror.ask(ids[0]!);
    for (const { answer } of source.asked) answer();
    expect(await Promise.all([...answers, joined])).toEqual(Array.from({ length: 65 }, () => undefined));
    const next = mirror.ask(newJobId(0));
    await settle();
    source.asked.at(-1)!.answer();
    expect(await next).toBeUndefined();
  });
});

import { describe, expect, it } from 'vitest';
import { change, insertJob, openStore } from './support/store-fixture.ts';

describe('changes of one transaction', () => {
  it('leave every event, and the job as it is at the end, also after a restart', async () => {
    const made = openStore();
    const { id } = await insertJob(made.log);
    await Promise.all([change(made.log, id, 'starting'), change(made.log, id, 'running')]);
    await change(made.log, id, 'complete');
    made[Symbol.dispose]();
    using again = openStore(made.directory);
    expect(again.store.history(id).map((event) => event.type)).toEqual([
      'pending',
      'starting',
      'running',
      'complete',
    ]);
    expect(again.store.job(id)).toMatchObject({ state: 'complete', seq: 4 });
  });

  it('write what was inserted and changed at once', async () => {
    const made = openStore();
    const inserting = insertJob(made.log);
    const [job] = await Promise.all([
      inserting,
      inserting.then(({ id }) => change(made.log, id, 'starting')),
    ]);
    made[Symbol.dispose]();
    using again = openStore(made.directory);
    expect(again.store.job(job.id)?.state).toBe('starting');
  });

  it('are dropped with the job that is removed, also one that was read back', async () => {
    const made = openStore();
    const { id } = await insertJob(made.log);
    made[Symbol.dispose]();
    using again = openStore(made.directory);
    await Promise.all([change(again.log, id, 'cancelled'), again.log.remove(id)]);
    expect(again.store.job(id)).toBeUndefined();
    expect(again.store.tombstone(id)).toMatchObject({ state: 'cancelled' });
  });

  it('leave out the one whose operation throws after it wrote, and nothing else', async () => {
    const made = openStore();
    const [kept, undone] = [await insertJob(made.log), await insertJob(made.log)];
    const spoil = made.store.write(
      (writer) => {
        writer.updateJob({ ...undone, state: 'failed', seq: writer.nextSeq() }, undefined);
        throw new Error('after it wrote');
      },
      { kind: 'progress' },
    );
    const [, spoilt] = await Promise.allSettled([change(made.log, kept.id, 'starting'), spoil]);
    expect(spoilt).toMatchObject({ status: 'rejected', reason: { message: 'after it wrote' } });
    made[Symbol.dispose]();
    using again = openStore(made.directory);
    expect(again.store.job(kept.id)?.state).toBe('starting');
    expect(again.store.job(undone.id)?.state).toBe('pending');
    expect(again.store.lastSeq).toBe(3);
  });
});

import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MAX_HISTORY } from '../../../src/jobs/job-store.ts';
import { insertJob, openStore } from './support/store-fixture.ts';

it('of one job is as long as its bound, on disk too, and that of the others whole', async () => {
  const made = openStore();
  const other = await insertJob(made.log);
  const { id } = await insertJob(made.log);
  const notes = Array.from({ length: MAX_HISTORY + 5 }, (_, index) => `restart ${index}`);
  await Promise.all(notes.map((note) => made.log.change(id, () => ({ note }))));
  expect(made.store.history(id).map((event) => event.message)).toEqual(notes.slice(-MAX_HISTORY));
  expect(made.store.history(other.id)).toHaveLength(1);
  made[Symbol.dispose]();
  const database = new DatabaseSync(join(made.directory, 'jobs.db'), { readOnly: true });
  const { count } = database.prepare('SELECT count(*) AS count FROM events WHERE job = ?').get(id) ?? {};
  database.close();
  expect(count).toBe(MAX_HISTORY);
});

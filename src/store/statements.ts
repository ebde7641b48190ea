import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { JobQuery } from '../jobs/job-store.ts';

export type Statements = ReturnType<typeof prepareStatements>;

/** Every statement that is run often, prepared once. */
export function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql);
  return {
    job: prepare('SELECT * FROM jobs WHERE id = ?'),
    specHash: prepare('SELECT spec_hash FROM jobs WHERE id = ?'),
    insertJob: prepare('INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    updateJob: prepare(
      'UPDATE jobs SET epoch = ?, seq = ?, state = ?, expires_at = ?, body = ?, checksum = ? WHERE id = ?',
    ),
    deleteJob: prepare('DELETE FROM jobs WHERE id = ?'),
    allJobs: prepare('SELECT * FROM jobs'),
    // Asked once, at the start, when every row is read anyway: an index would cost every write.
    unfinished: prepare('SELECT * FROM jobs WHERE expires_at IS NULL ORDER BY created_at, id'),
    expired: prepare(
      'SELECT id FROM jobs WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?',
    ),
    countEnded: prepare('SELECT count(*) AS count FROM jobs WHERE expires_at IS NOT NULL'),
    oldestEnded: prepare(
      // The oldest have ended, but for a few; sorting all that ended would be the other way.
      'SELECT id FROM jobs INDEXED BY jobs_by_age WHERE expires_at IS NOT NULL ORDER BY created_at, id LIMIT ?',
    ),
    insertEvent: prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?)'),
    history: prepare('SELECT * FROM events WHERE job = ? ORDER BY seq DESC LIMIT ?'),
    trimHistory: prepare(
      'DELETE FROM events WHERE job = ? AND seq <= (SELECT seq FROM events WHERE job = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)',
    ),
    eventsAfter: prepare('SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?'),
    // Superseded changes have no row of their own left.
    changesAfter: prepare(
      `SELECT e.seq AS change_seq, e.job AS change_job, j.* FROM events e LEFT JOIN jobs j ON j.id = e.job AND j.seq = e.seq
       LEFT JOIN tombstones t ON t.id = e.job AND t.seq = e.seq
       WHERE e.seq > ? AND (j.id IS NOT NULL OR t.id IS NOT NULL) ORDER BY e.seq LIMIT ?`,
    ),
    places: prepare('SELECT id, seq FROM jobs'),
    deleteEvents: prepare('DELETE FROM events WHERE job = ?'),
    allEvents: prepare('SELECT * FROM events'),
    insertTombstone: prepare('INSERT INTO tombstones VALUES (?, ?, ?, ?, ?, ?, ?)'),
    tombstone: prepare('SELECT * FROM tombstones WHERE id = ?'),
    allTombstones: prepare('SELECT * FROM tombstones'),
    tombstoneFloor: prepare('SELECT max(seq) AS seq FROM tombstones WHERE removed_at < ?'),
    forgetTombstones: prepare('DELETE FROM tombstones WHERE removed_at < ?'),
    forgetRemovals: prepare(
      'DELETE FROM events WHERE job IN (SELECT id FROM tombstones WHERE removed_at < ?)',
    ),
    outbox: prepare('SELECT * FROM outbox ORDER BY created_at, id'),
    savePlacement: prepare('INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?)'),
    dropPlacement: prepare('DELETE FROM outbox WHERE id = ?'),
    position: prepare('SELECT * FROM log WHERE one = 1'),
    savePosition: prepare(
      'INSERT INTO log VALUES (1, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, event_floor = excluded.event_floor, checksum = excluded.checksum',
    ),
  };
}

/** One page of the list of jobs, newest first; made for each call, since every condition is optional. */
export function listQuery(query: JobQuery): { sql: string; values: SQLInputValue[] } {
  const conditions: string[] = [];
  const values: SQLInputValue[] = [];
  const add = (condition: string, ...bound: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...bound);
  };
  if (query.states !== undefined) add(`state IN (${query.states.map(() => '?').join()})`, ...query.states);
  if (query.idPrefix !== undefined) add('id >= ? AND id < ?', query.idPrefix, `${query.idPrefix}~`);
  if (query.name !== undefined) add('name = ?', query.name);
  if (query.before !== undefined) add('(created_at, id) < (?, ?)', query.before.createdAtMs, query.before.id);
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')} `;
  values.push(query.limit);
  return { sql: `SELECT * FROM jobs ${where}ORDER BY created_at DESC, id DESC LIMIT ?`, values };
}

import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { JobQuery } from '../../../src/jobs/job-store.ts';
import { MIGRATIONS } from '../../../src/store/migrations.ts';
import { listQuery, prepareStatements } from '../../../src/store/statements.ts';

/** Read at the start only, and wholly: that is their purpose. */
const WHOLE_TABLES = [
  'SELECT * FROM jobs',
  'SELECT * FROM events',
  'SELECT * FROM tombstones',
  'SELECT id, seq FROM jobs',
  'SELECT * FROM outbox ORDER BY created_at, id',
];

function emptyStore(): DatabaseSync {
  const database = new DatabaseSync(':memory:');
  for (const step of MIGRATIONS) database.exec(step);
  return database;
}

function planOf(database: DatabaseSync, sql: string): string[] {
  const values = [...sql.matchAll(/\?/g)].map(() => 1);
  return database
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all(...values)
    .map((row) => String(row['detail']));
}

describe('the prepared statements', () => {
  it('find their rows by an index, and sort nothing', () => {
    using database = emptyStore();
    const prepared = prepareStatements(database);
    const texts = Object.values(prepared).map((statement) => statement.sourceSQL);
    expect(texts.length).toBeGreaterThan(15);
    for (const sql of texts.filter((text) => !WHOLE_TABLES.includes(text))) {
      const plan = planOf(database, sql).join('; ');
      expect(plan, sql).not.toMatch(/SCAN (?!jobs USING (COVERING )?INDEX jobs_by_(age|expiry))/);
      expect(plan, sql).not.toContain('TEMP B-TREE');
    }
  });

  it('use the index that was made for them', () => {
    using database = emptyStore();
    const { job, unfinished, expired, oldestEnded, history, eventsAfter } = prepareStatements(database);
    const plan = (statement: { sourceSQL: string }): string =>
      planOf(database, statement.sourceSQL).join('; ');
    expect(plan(job)).toContain('SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)');
    expect(plan(unfinished)).toBe('SCAN jobs USING INDEX jobs_by_age');
    expect(plan(expired)).toContain('SEARCH jobs USING INDEX jobs_by_expiry');
    expect(plan(oldestEnded)).toBe('SCAN jobs USING INDEX jobs_by_age');
    expect(plan(history)).toContain('SEARCH events USING INDEX events_of_job');
    expect(plan(eventsAfter)).toContain('SEARCH events USING INTEGER PRIMARY KEY');
  });
});

describe('the list', () => {
  const before = { createdAtMs: 1, id: 'a' };
  it.each<[string, JobQuery, RegExp]>([
    ['the first page', { limit: 10 }, /^SCAN jobs USING INDEX jobs_by_age$/],
    ['a later page', { limit: 10, before }, /^SEARCH jobs USING INDEX jobs_by_age/],
    ['of states', { limit: 10, states: ['running'], before }, /^SEARCH jobs USING INDEX jobs_by_age/],
    ['of a name', { limit: 10, name: 'web', before }, /^SEARCH jobs USING INDEX jobs_by_name \(name=\?/],
    ['of ids', { limit: 10, idPrefix: '01' }, /^SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 \(id>\?/],
  ])('walks an index for %s', (_what, query, plan) => {
    using database = emptyStore();
    expect(planOf(database, listQuery(query).sql).join('; ')).toMatch(plan);
  });
});

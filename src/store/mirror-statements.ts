import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { JobQuery } from '../jobs/job-store.ts';

export type MirrorStatements = ReturnType<typeof prepareMirrorStatements>;

const RECORD_COLUMNS = 'r.id, o.owner, r.key, r.epoch, r.seq, r.body, r.proof, r.checksum';

/** Both from an index alone. */
const COUNTS = `(SELECT count(*) FROM records r WHERE r.owner = o.id) AS total,
  (SELECT count(*) FROM records r WHERE r.owner = o.id AND r.body IS NULL) AS removed`;

/** Every statement that is run often, prepared once. */
export function prepareMirrorStatements(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql);
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    owners: prepare('SELECT * FROM owners'),
    ownerId: prepare('SELECT id FROM owners WHERE owner = ?'),
    saveOwner: prepare(
      `INSERT INTO owners (owner, epoch, up_to, spans, digest, newest, newest_signature, former, former_signature, heard_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (owner) DO UPDATE SET epoch = excluded.epoch, up_to = excluded.up_to, spans = excluded.spans,
         digest = excluded.digest, newest = excluded.newest, newest_signature = excluded.newest_signature,
         former = excluded.former, former_signature = excluded.former_signature, heard_at = excluded.heard_at
       RETURNING id`,
    ),
    saveRecord: prepare(
      `INSERT INTO records (owner, key, epoch, seq, body, proof, state, name, created_at, stored_at, checksum)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key, owner) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, body = excluded.body,
         proof = excluded.proof, state = excluded.state, name = excluded.name, created_at = excluded.created_at,
         stored_at = excluded.stored_at, checksum = excluded.checksum`,
    ),
    dropRecord: prepare('DELETE FROM records WHERE key = ? AND owner = ?'),
    dropRow: prepare('DELETE FROM records WHERE id = ?'),
    record: prepare(
      `SELECT ${RECORD_COLUMNS} FROM records r JOIN owners o ON o.id = r.owner WHERE r.key = ? AND o.owner = ?`,
    ),
    recordsOf: prepare(
      `SELECT ${RECORD_COLUMNS} FROM records r JOIN owners o ON o.id = r.owner WHERE r.key = ? ORDER BY o.owner`,
    ),
    recordsAfter: prepare(
      `SELECT ${RECORD_COLUMNS} FROM records r JOIN owners o ON o.id = r.owner
       WHERE r.owner = (SELECT id FROM owners WHERE owner = ?) AND r.epoch = ? AND r.seq > ? ORDER BY r.seq LIMIT ?`,
    ),
    keysUpTo: prepare(
      `SELECT key FROM records WHERE owner = (SELECT id FROM owners WHERE owner = ?)
       AND (epoch < ? OR (epoch = ? AND seq <= ?)) ORDER BY key`,
    ),
    counts: prepare(`SELECT o.owner, ${COUNTS} FROM owners o`),
    count: prepare(`SELECT ${COUNTS} FROM owners o WHERE o.owner = ?`),
    forgetRecords: prepare('DELETE FROM records WHERE owner = (SELECT id FROM owners WHERE owner = ?)'),
    forgetOwner: prepare('DELETE FROM owners WHERE owner = ?'),
    compact: prepare(
      `DELETE FROM records WHERE id IN
       (SELECT r.id FROM owners o JOIN records r ON r.owner = o.id WHERE o.owner = ? AND r.body IS NULL
        AND r.stored_at < ? AND r.epoch = o.epoch AND r.seq <= o.up_to LIMIT ?)`,
    ),
    forgotten: prepare('SELECT * FROM forgotten ORDER BY at'),
    dropForgotten: prepare('DELETE FROM forgotten'),
    saveForgotten: prepare('INSERT INTO forgotten VALUES (?, ?, ?, ?, ?)'),
    incarnation: prepare('SELECT incarnation FROM lives WHERE one = 1'),
    saveIncarnation: prepare(
      'INSERT INTO lives VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation',
    ),
  };
}

/** One page of the records that are there, newest first; made for each call, since every condition is optional. */
export function mirrorListQuery(query: JobQuery & { readonly owner?: string }): {
  sql: string;
  values: SQLInputValue[];
} {
  const conditions: string[] = ['r.body IS NOT NULL', 'r.created_at IS NOT NULL'];
  const values: SQLInputValue[] = [];
  const add = (condition: string, ...bound: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...bound);
  };
  if (query.states !== undefined) add(`r.state IN (${query.states.map(() => '?').join()})`, ...query.states);
  if (query.idPrefix !== undefined) add('r.key >= ? AND r.key < ?', query.idPrefix, `${query.idPrefix}~`);
  if (query.name !== undefined) add('r.name = ?', query.name);
  if (query.owner !== undefined) add('o.owner = ?', query.owner);
  if (query.before !== undefined)
    add('(r.created_at, r.key) < (?, ?)', query.before.createdAtMs, query.before.id);
  values.push(query.limit);
  return {
    sql: `SELECT ${RECORD_COLUMNS} FROM records r JOIN owners o ON o.id = r.owner
      WHERE ${conditions.join(' AND ')} ORDER BY r.created_at DESC, r.key DESC LIMIT ?`,
    values,
  };
}

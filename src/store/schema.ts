import { DatabaseSync } from 'node:sqlite';
import { invariant } from '../kernel/errors.ts';
import { failpoint } from '../kernel/failpoint.ts';
import { StoreError } from '../jobs/job-store.ts';
import { MIGRATIONS } from './migrations.ts';
import { storeCorrupt } from './failures.ts';

/** "cmjb": marks the file as ours (`PRAGMA application_id`). */
export const APPLICATION_ID = 0x636d6a62;

/** What the tables of a file are, and how they came to be. */
export interface Schema {
  readonly applicationId: number;
  /** Step n brings a file from version n - 1 to n. */
  readonly migrations: readonly string[];
}

const JOB_SCHEMA: Schema = { applicationId: APPLICATION_ID, migrations: MIGRATIONS };

export function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

/** Refuses what another program or a newer version wrote. A file without any table is ours to fill. */
export function requireOurs(database: DatabaseSync, file: string, schema = JOB_SCHEMA): void {
  if (schemaOf(database).length === 0) return;
  const applicationId = pragma(database, 'application_id');
  if (applicationId !== schema.applicationId) {
    throw new StoreError('store_foreign', `${file} is an SQLite file of another program; move it away`, {
      details: { file },
    });
  }
  const version = schemaVersion(database);
  const known = schema.migrations.length;
  if (version > known) {
    throw new StoreError(
      'store_foreign',
      `${file} was written by a newer version (schema ${version}, this program knows ${known}); upgrade this node`,
      { details: { file, schema: version } },
    );
  }
}

/** Refuses a file whose pages contradict each other, or whose tables are not those that its version made. */
export function requireIntact(database: DatabaseSync, file: string): void {
  const problems = database
    .prepare('PRAGMA integrity_check(3)')
    .all()
    .map((row) => String(Object.values(row)[0]));
  if (problems.length !== 1 || problems[0] !== 'ok')
    throw storeCorrupt(file, problems.join('; '), { details: { problems } });
  // The pages' own check does not read the text of the tables' definitions.
  const version = schemaVersion(database);
  if (schemaOf(database).join('\n') !== schemaOfVersion(version).join('\n'))
    throw storeCorrupt(file, `its tables are not those of schema ${version}`, {
      details: { schema: version },
    });
}

/** Brings the tables up to date, one transaction a step. */
export function migrate(database: DatabaseSync, file: string, schema = JOB_SCHEMA): void {
  const { applicationId, migrations } = schema;
  const from = schemaVersion(database);
  for (const [index, step] of migrations.entries()) {
    if (index < from) continue;
    database.exec('BEGIN IMMEDIATE');
    database.exec(step);
    failpoint('mid-migration');
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${index + 1}`);
    database.exec('COMMIT');
  }
  invariant(schemaVersion(database) === migrations.length, `${file}: a migration did not count`);
  invariant(!database.isTransaction, `${file}: a migration left a transaction open`);
}

function schemaVersion(database: DatabaseSync): number {
  return Number(pragma(database, 'user_version'));
}

function schemaOf(database: DatabaseSync): string[] {
  return database
    .prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name')
    .all()
    .map((row) => JSON.stringify(row));
}

function schemaOfVersion(version: number): string[] {
  const database = new DatabaseSync(':memory:');
  try {
    for (const step of MIGRATIONS.slice(0, version)) database.exec(step);
    return schemaOf(database);
  } finally {
    database.close();
  }
}

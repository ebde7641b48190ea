import type { Schema } from './schema.ts';

/** "cmmr": marks the file as ours (`PRAGMA application_id`). */
const APPLICATION_ID = 0x636d6d72;

/** The schema's steps, as those of the job store: a released one is never changed. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE owners (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    up_to INTEGER NOT NULL,
    spans TEXT NOT NULL,
    digest BLOB NOT NULL,
    newest BLOB NOT NULL,
    newest_signature BLOB NOT NULL,
    former BLOB,
    former_signature BLOB,
    heard_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB,
    proof BLOB NOT NULL,
    state TEXT,
    name TEXT,
    created_at INTEGER,
    stored_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX records_by_key ON records (key, owner);
  CREATE INDEX records_by_place ON records (owner, epoch, seq);
  CREATE INDEX records_by_age ON records (created_at, key) WHERE body IS NOT NULL;
  CREATE INDEX records_removed ON records (owner, stored_at) WHERE body IS NULL;

  CREATE TABLE forgotten (
    owner BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    tick INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE lives (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation INTEGER NOT NULL
  ) STRICT;
  `,
];

export const MIRROR_SCHEMA: Schema = { applicationId: APPLICATION_ID, migrations: MIGRATIONS };

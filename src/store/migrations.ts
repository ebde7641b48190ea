/**
 * The schema's steps, in order; step n brings a store from version n - 1 to n (`PRAGMA user_version`). A released
 * step is never changed: a new one is added below it.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    name TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    spec_hash TEXT,
    spec TEXT NOT NULL,
    body TEXT NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX jobs_by_age ON jobs (created_at, id);
  CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX jobs_by_name ON jobs (name, created_at, id) WHERE name IS NOT NULL;

  CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    job TEXT NOT NULL,
    body TEXT NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX events_of_job ON events (job, seq);

  CREATE TABLE tombstones (
    id TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    spec_hash TEXT,
    removed_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX tombstones_by_age ON tombstones (removed_at);

  CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_floor INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    wish TEXT NOT NULL,
    request TEXT NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  `,
];

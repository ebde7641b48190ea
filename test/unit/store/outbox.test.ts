import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Placement } from '../../../src/jobs/placement/outbox-store.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { SecretBox } from '../../../src/kernel/secret-box.ts';
import { newJobId, type NodeId } from '../../../src/kernel/ids.ts';
import { MIGRATIONS } from '../../../src/store/migrations.ts';
import { APPLICATION_ID } from '../../../src/store/schema.ts';
import { openStore, tempDirectory } from './support/store-fixture.ts';

function aPlacement(createdAtMs: number): Placement {
  return {
    id: newJobId(createdAtMs),
    target: '12D3KooWFar' as NodeId,
    createdAtMs,
    wish: 'run',
    request: {
      spec: jobSpecSchema.parse({ image: 'test', env: { TOKEN: 'canary-7f3a' } }),
      caller: 'local',
      idempotencyKey: 'key-canary',
    },
  };
}

function edit(directory: string, sql: string): void {
  using database = new DatabaseSync(join(directory, 'jobs.db'), { defensive: false });
  database.exec(sql);
}

describe('what is to be given to other nodes', () => {
  it('is there again after a restart, oldest first, until it is dropped', async () => {
    const directory = tempDirectory();
    const [second, first, third] = [aPlacement(2), aPlacement(1), aPlacement(3)];
    {
      using made = openStore(directory);
      for (const placement of [second, first, third]) await made.store.savePlacement(placement);
      await made.store.savePlacement({ ...second, wish: 'end' });
      await made.store.dropPlacement(third.id);
      await made.store.dropPlacement(third.id);
    }
    using again = openStore(directory);
    expect(again.store.placements()).toEqual([first, { ...second, wish: 'end' }]);
  });

  it('shows nothing of its secrets on disk', async () => {
    const directory = tempDirectory();
    {
      using made = openStore(directory);
      await made.store.savePlacement(aPlacement(1));
    }
    const bytes = readFileSync(join(directory, 'jobs.db'));
    expect(bytes.includes('12D3KooWFar')).toBe(true);
    expect(bytes.includes('canary')).toBe(false);
  });

  it('refuses the start when it is damaged, or sealed with another key', async () => {
    const directory = tempDirectory();
    {
      using made = openStore(directory);
      await made.store.savePlacement(aPlacement(1));
    }
    const box = new SecretBox(Buffer.alloc(32, 8));
    expect(() => openStore(directory, { box })).toThrow(
      expect.objectContaining({ code: 'store_foreign', message: expect.stringMatching(/identity\.key/) }),
    );
    edit(directory, "UPDATE outbox SET target = 'elsewhere'");
    expect(() => openStore(directory)).toThrow(
      expect.objectContaining({ code: 'store_corrupt', message: expect.stringMatching(/placement/) }),
    );
  });

  it('has its place in a store of the version before', () => {
    const directory = tempDirectory();
    edit(directory, `${MIGRATIONS[0]}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
    using made = openStore(directory);
    expect(made.store.placements()).toEqual([]);
  });
});

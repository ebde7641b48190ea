import { expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import type { StoreError } from '../../../src/jobs/job-store.ts';
import { SqliteMirrorStore } from '../../../src/store/sqlite-mirror-store.ts';
import { SmallDisk } from '../support/small-disk.ts';

const OWNER = {
  owner: '12D3KooWAnna' as NodeId,
  epoch: 1,
  upTo: 0,
  spans: [],
  digest: Buffer.alloc(32),
  newest: { bytes: Buffer.of(1), signature: Buffer.of(2) },
  former: undefined,
  heardAtMs: 0,
};

function recordOf(seq: number) {
  const body = Buffer.alloc(10_000, seq);
  return { owner: OWNER.owner, key: String(seq), epoch: 1, seq, body, proof: Buffer.of(3) };
}

function open(directory: string, fatal: StoreError[]): SqliteMirrorStore {
  return new SqliteMirrorStore({
    directory,
    facetsOf: () => undefined,
    wallMs: () => 5_000,
    hasSpace: () => true,
    onFatal: (error) => fatal.push(error),
    onDamage: () => undefined,
    onSetAside: (file, reason) => {
      throw new Error(`${file} was set aside: ${reason}`);
    },
  });
}

/** The seq of the first record for which there was no room. */
function writeUntilFull(store: SqliteMirrorStore, from: number): number {
  for (let seq = from; ; seq += 1) {
    try {
      store.write({ owner: { ...OWNER, upTo: seq }, put: [recordOf(seq)], drop: [] }, seq % 2 === 0);
    } catch (error) {
      expect(error).toMatchObject({ code: 'store_full' });
      return seq;
    }
  }
}

it('mirrors on a full disk: the node goes on, starts again, and mirrors again when there is space', () => {
  using disk = new SmallDisk(8 * 1024 ** 2);
  const fatal: StoreError[] = [];
  const store = open(disk.mountPoint, fatal);
  store.nextIncarnation(0);
  for (let seq = 1; seq <= 20; seq += 1)
    store.write({ owner: { ...OWNER, upTo: seq }, put: [recordOf(seq)], drop: [] }, true);
  disk.fill();
  const next = writeUntilFull(store, 21);
  expect(store.count(OWNER.owner).live).toBe(next - 1);
  expect(store.nextIncarnation(9_000)).toBe(9_001);
  store[Symbol.dispose]();
  const again = open(disk.mountPoint, fatal);
  expect(again.nextIncarnation(0)).toBeGreaterThanOrEqual(5_000);
  expect(again.owners().map(({ upTo }) => upTo)).toEqual([next - 1]);
  writeUntilFull(again, next);
  disk.free();
  again.write({ owner: { ...OWNER, upTo: next }, put: [recordOf(next)], drop: [] }, true);
  expect(again.record(OWNER.owner, String(next))?.body).toEqual(Uint8Array.from(recordOf(next).body));
  again[Symbol.dispose]();
  expect(fatal).toEqual([]);
});

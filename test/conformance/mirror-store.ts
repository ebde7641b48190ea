import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../src/kernel/ids.ts';
import type { MirroredRecord, MirrorOwner, MirrorStore } from '../../src/peers/replication/mirror-store.ts';
import { encodeStatement } from '../../src/peers/replication/statement.ts';

const ANNA = '12D3KooWAnna' as NodeId;
const BERT = '12D3KooWBert' as NodeId;

/** What every mirror store keeps to. `reopen` is a process that ends and starts again; both share a clock that can be set. */
export function describeMirrorStore(
  name: string,
  open: (wallMs: () => number) => { store: MirrorStore; reopen: () => MirrorStore; close: () => void },
): void {
  describe(`a mirror store: ${name}`, () => {
    const withStore =
      (test: (store: MirrorStore, reopen: () => MirrorStore, clock: { ms: number }) => void) => () => {
        const clock = { ms: 1_000 };
        const { store, reopen, close } = open(() => clock.ms);
        try {
          test(store, reopen, clock);
        } finally {
          close();
        }
      };

    it(
      'holds nothing at first',
      withStore((store) => {
        expect(store.owners()).toEqual([]);
        expect(store.record(ANNA, 'a')).toBeUndefined();
        expect(store.recordsOf('a')).toEqual([]);
        expect(store.recordsAfter(ANNA, 1, 0, 10)).toEqual([]);
        expect(store.count(ANNA)).toEqual({ live: 0, removed: 0 });
        expect(store.forgotten()).toEqual([]);
      }),
    );

    it.each([true, false])('keeps what was written over a restart (durable: %s)', (isDurable) =>
      withStore((store, reopen) => {
        const spans = [{ from: 12, to: 14 }];
        const anna = {
          ...ownerOf(ANNA, 1, 9),
          spans,
          former: { bytes: Buffer.of(1), signature: Buffer.of(2) },
        };
        store.write(
          { owner: anna, put: [recordOf(ANNA, 'a', 1, 3), recordOf(ANNA, 'b', 1, 9)], drop: [] },
          isDurable,
        );
        store.write(
          { owner: ownerOf(BERT, 7, 2), put: [recordOf(BERT, 'a', 7, 2, null)], drop: [] },
          isDurable,
        );
        const again = reopen();
        expect(
          again
            .owners()
            .toSorted((a, b) => a.epoch - b.epoch)
            .map(plain),
        ).toEqual([plain(anna), plain(ownerOf(BERT, 7, 2))]);
        expect(plain(again.record(ANNA, 'b'))).toEqual(plain(recordOf(ANNA, 'b', 1, 9)));
        expect(again.record(BERT, 'a')?.body).toBeUndefined();
        expect(again.count(ANNA)).toEqual({ live: 2, removed: 0 });
        expect(again.count(BERT)).toEqual({ live: 0, removed: 1 });
      })(),
    );

    it(
      'puts the newest in the place of what was there, and drops',
      withStore((store) => {
        const owner = ownerOf(ANNA, 1, 9);
        store.write({ owner, put: [recordOf(ANNA, 'a', 1, 3), recordOf(ANNA, 'b', 1, 4)], drop: [] }, false);
        store.write(
          { owner: { ...owner, upTo: 11 }, put: [recordOf(ANNA, 'a', 2, 1)], drop: ['b', 'c'] },
          true,
        );
        expect(store.owners().map(({ upTo }) => upTo)).toEqual([11]);
        expect(store.record(ANNA, 'a')).toMatchObject({ epoch: 2, seq: 1 });
        expect(store.record(ANNA, 'b')).toBeUndefined();
        expect(store.count(ANNA)).toEqual({ live: 1, removed: 0 });
      }),
    );

    it(
      'finds a key of several owners, the lowest first',
      withStore((store) => {
        store.write({ owner: ownerOf(BERT, 1, 1), put: [recordOf(BERT, 'a', 1, 1)], drop: [] }, false);
        store.write({ owner: ownerOf(ANNA, 1, 1), put: [recordOf(ANNA, 'a', 1, 1)], drop: [] }, false);
        expect(store.recordsOf('a').map(({ owner }) => owner)).toEqual([ANNA, BERT]);
      }),
    );

    it(
      'gives the records of one epoch in order, page by page',
      withStore((store) => {
        const put = [5, 2, 9, 7].map((seq) => recordOf(ANNA, `k${seq}`, 2, seq));
        store.write(
          { owner: ownerOf(ANNA, 2, 9), put: [...put, recordOf(ANNA, 'old', 1, 8)], drop: [] },
          false,
        );
        const seqs = (after: number, limit: number): number[] =>
          store.recordsAfter(ANNA, 2, after, limit).map(({ seq }) => seq);
        expect(seqs(0, 3)).toEqual([2, 5, 7]);
        expect(seqs(7, 3)).toEqual([9]);
        expect(store.keysUpTo(ANNA, 2, 5)).toEqual(['k2', 'k5', 'old']);
        expect(store.keysUpTo(ANNA, 2, 0)).toEqual(['old']);
      }),
    );

    it(
      'forgets an owner, and remembers that',
      withStore((store, reopen) => {
        store.write({ owner: ownerOf(ANNA, 1, 1), put: [recordOf(ANNA, 'a', 1, 1)], drop: [] }, false);
        store.forget(ANNA);
        const mark = { owner: Buffer.alloc(32, 1), epoch: 1, incarnation: 2, tick: 3, atMs: 4 };
        store.saveForgotten([mark]);
        const again = reopen();
        expect(again.owners()).toEqual([]);
        expect(again.recordsOf('a')).toEqual([]);
        expect(again.count(ANNA)).toEqual({ live: 0, removed: 0 });
        expect(again.forgotten().map(plain)).toEqual([plain(mark)]);
      }),
    );

    it(
      'lets removals go when they are old and nothing before them is missing',
      withStore((store, _reopen, clock) => {
        const put = [
          recordOf(ANNA, 'gone', 1, 3, null),
          recordOf(ANNA, 'beyond a gap', 1, 9, null),
          recordOf(ANNA, 'there', 1, 2),
        ];
        store.write({ owner: ownerOf(ANNA, 1, 5), put, drop: [] }, false);
        clock.ms = 2_000;
        store.write(
          { owner: ownerOf(ANNA, 1, 5), put: [recordOf(ANNA, 'young', 1, 4, null)], drop: [] },
          false,
        );
        expect(store.compact(ANNA, 1_500, 100)).toBe(1);
        expect(store.compact(ANNA, 1_500, 100)).toBe(0);
        expect(store.keysUpTo(ANNA, 1, 100)).toEqual(['beyond a gap', 'there', 'young']);
        expect(store.count(ANNA)).toEqual({ live: 1, removed: 2 });
      }),
    );

    it(
      'lets so many removals go at once, of the owner that is meant',
      withStore((store) => {
        for (const owner of [ANNA, BERT]) {
          const put = [1, 2, 3].map((seq) => recordOf(owner, `k${seq}`, 1, seq, null));
          store.write({ owner: ownerOf(owner, 1, 3), put, drop: [] }, false);
        }
        expect([1, 2, 3].map(() => store.compact(ANNA, 1_500, 2))).toEqual([2, 1, 0]);
        expect(store.count(BERT)).toEqual({ live: 0, removed: 3 });
      }),
    );

    it(
      'counts the lives of the node, each above the one before and above what is asked for',
      withStore((store, reopen, clock) => {
        clock.ms = 5_000;
        expect(store.nextIncarnation(0)).toBe(5_000);
        expect(store.nextIncarnation(7_000)).toBe(7_001);
        clock.ms = 1_000;
        expect(reopen().nextIncarnation(0)).toBe(7_002);
      }),
    );
  });
}

function ownerOf(owner: NodeId, epoch: number, upTo: number): MirrorOwner {
  const bytes = encodeStatement({
    owner: Buffer.alloc(32, 7), epoch, incarnation: 1, tick: 1, from: 0, to: upTo, head: upTo, digest: Buffer.alloc(32),
    floor: 0, root: Buffer.alloc(32), count: 0, card: Buffer.alloc(0),
  }); // prettier-ignore
  const newest = { bytes, signature: Buffer.alloc(64, 9) };
  return {
    owner,
    epoch,
    upTo,
    spans: [],
    digest: Buffer.alloc(32, 5),
    newest,
    former: undefined,
    heardAtMs: 77,
  };
}

function recordOf(
  owner: NodeId,
  key: string,
  epoch: number,
  seq: number,
  text: string | null = `${key} ${seq}`,
): MirroredRecord {
  return {
    owner,
    key,
    epoch,
    seq,
    body: text === null ? undefined : Buffer.from(text),
    proof: Buffer.from('proof'),
  };
}

/** With every kind of bytes as the same kind, so that they can be compared. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
}

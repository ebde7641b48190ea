import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { StoreError } from '../../../src/jobs/job-store.ts';
import { SqliteMirrorStore } from '../../../src/store/sqlite-mirror-store.ts';
import { describeMirrorStore } from '../../conformance/mirror-store.ts';
import { MemoryMirrorStore } from '../../support/memory-mirror-store.ts';

describeMirrorStore('in memory', (wallMs) => {
  const store = new MemoryMirrorStore(wallMs);
  return { store, reopen: () => store, close: () => undefined };
});

describeMirrorStore('on disk', (wallMs) => {
  const directory = mkdtempSync(join(tmpdir(), 'cm-mirror-'));
  let store = open(directory, wallMs).store;
  return {
    store,
    reopen: () => {
      store[Symbol.dispose]();
      return (store = open(directory, wallMs).store);
    },
    close: () => {
      store[Symbol.dispose]();
      rmSync(directory, { recursive: true });
    },
  };
});

const PAGE_BYTES = 4096;

describe('the mirror on disk', () => {
  it('counts the lives of the node, also when the clock was set back', () => {
    using home = new Home();
    const first = home.open(() => 5_000_000).store.nextIncarnation(0);
    expect(first).toBe(5_000_000);
    expect(home.open(() => 1_000).store.nextIncarnation(0)).toBe(5_000_001);
    expect(home.open(() => 9_000_000).store.nextIncarnation(0)).toBe(9_000_000);
  });

  it('lists what is there, newest first, by what its body says', () => {
    using home = new Home();
    const { store } = home.open();
    const put = ['c1', 'a3', 'b2'].map((text, index) => recordOf(`${index}`, text));
    store.write({ owner: OWNER, put: [...put, recordOf('9', 'unknown')], drop: [] }, false);
    expect(store.list({ limit: 10 }).map(({ key }) => key)).toEqual(['1', '2', '0']);
    expect(store.list({ limit: 10, states: ['a', 'c'] as never }).map(({ key }) => key)).toEqual(['1', '0']);
    expect(store.list({ limit: 10, before: { createdAtMs: 2, id: '2' } }).map(({ key }) => key)).toEqual([
      '0',
    ]);
    expect(store.list({ limit: 10, owner: 'nobody' as NodeId })).toEqual([]);
  });

  it('sets a file aside that is none of SQLite, and begins anew', () => {
    using home = new Home();
    writeFileSync(join(home.directory, 'mirror.db'), Buffer.alloc(10_000, 0x5a));
    const { store, setAside } = home.open();
    expect(setAside).toEqual([join(home.directory, 'mirror.db.set-aside')]);
    expect(store.owners()).toEqual([]);
    expect(readFileSync(setAside[0]!)).toEqual(Buffer.alloc(10_000, 0x5a));
  });

  it('drops a record that was damaged, and says whose it was', async () => {
    using home = new Home();
    const first = home.open();
    first.store.write({ owner: OWNER, put: [recordOf('1', 'a1'), recordOf('2', 'b2')], drop: [] }, true);
    first.store[Symbol.dispose]();
    const database = new DatabaseSync(join(home.directory, 'mirror.db'));
    database.exec("UPDATE records SET body = x'00' WHERE key = '1'");
    database.close();
    const { store, damaged } = home.open();
    expect(store.record(OWNER.owner, '1')).toBeUndefined();
    expect(store.record(OWNER.owner, '2')?.seq).toBe(2);
    expect(store.count(OWNER.owner)).toEqual({ live: 1, removed: 0 });
    await expect.poll(() => damaged).toEqual([OWNER.owner]);
  });

  it('is usable by its second life, whichever of its pages is damaged', () => {
    using home = new Home();
    const first = home.open();
    const put = Array.from({ length: 200 }, (_, index) => recordOf(String(index + 1), 'a'.repeat(200)));
    first.store.write({ owner: OWNER, put, drop: [] }, true);
    first.store[Symbol.dispose]();
    const file = join(home.directory, 'mirror.db');
    const whole = readFileSync(file);
    for (let place = 0; place < whole.length; place += PAGE_BYTES) {
      const broken = Buffer.from(whole);
      broken.fill(0xa5, place, place + 200);
      writeFileSync(file, broken);
      const live = (): void => {
        const { store } = home.open();
        store.nextIncarnation(0);
        for (const { owner } of store.owners()) expect(store.count(owner).live).toBeLessThanOrEqual(200);
        store.write({ owner: OWNER, put: [recordOf('1000', 'b1')], drop: [] }, true);
        expect(store.record(OWNER.owner, '1000')?.seq).toBe(1_000);
        store.list({ limit: 1_000 });
      };
      try {
        live();
      } catch {
        // Found while it was used: the process ends, and leaves a mark for the next one.
        live();
      }
      home.close();
    }
    expect(whole.length).toBeGreaterThan(10 * PAGE_BYTES);
  });

  it.each(['user_version', 'application_id'])('sets a file of another %s aside, the newest only', (field) => {
    using home = new Home();
    const file = join(home.directory, 'mirror.db');
    for (const value of [98, 99]) {
      home.open().store[Symbol.dispose]();
      const database = new DatabaseSync(file);
      database.exec(`PRAGMA ${field} = ${value}`);
      database.close();
      const { store, setAside } = home.open();
      expect(setAside).toEqual([`${file}.set-aside`]);
      store.write({ owner: OWNER, put: [], drop: [] }, true);
    }
    const aside = readdirSync(home.directory).filter((name) => name.includes('set-aside'));
    expect(aside).toEqual(['mirror.db.set-aside']);
    const kept = new DatabaseSync(join(home.directory, 'mirror.db.set-aside'));
    expect(kept.prepare(`PRAGMA ${field}`).get()).toEqual({ [field]: 99 });
    kept.close();
  });

  it('goes on without what it has no room for, and starts again', () => {
    using home = new Home();
    const { store } = home.open(() => 5_000);
    const body = 'a'.repeat(10_000);
    const fill = (): void => {
      for (let seq = 1; ; seq += 1)
        store.write({ owner: { ...OWNER, upTo: seq }, put: [recordOf(String(seq), body)], drop: [] }, false);
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'store_full' }) as Error);
    const { upTo } = store.owners()[0]!;
    expect(store.count(OWNER.owner)).toEqual({ live: upTo, removed: 0 });
    expect(store.record(OWNER.owner, String(upTo))?.seq).toBe(upTo);
    expect(store.nextIncarnation(6_000)).toBe(6_001);
    const again = home.open(() => 7_000).store;
    expect(again.nextIncarnation(0)).toBe(7_000);
    again.forget(OWNER.owner);
    again.write({ owner: OWNER, put: [recordOf('1', body)], drop: [] }, true);
    expect(again.count(OWNER.owner)).toEqual({ live: 1, removed: 0 });
  });

  it('takes nothing of what is left for the node’s own jobs', () => {
    using home = new Home();
    let hasSpace = true;
    const { store } = open(
      home.directory,
      () => 0,
      raise,
      undefined,
      () => hasSpace,
    );
    store.write({ owner: OWNER, put: [recordOf('1', 'a1')], drop: [] }, true);
    hasSpace = false;
    expect(() => store.write({ owner: OWNER, put: [recordOf('2', 'a2')], drop: [] }, true)).toThrow(
      expect.objectContaining({ code: 'store_full' }) as Error,
    );
    store.write({ owner: OWNER, put: [], drop: ['1'] }, true);
    expect(store.count(OWNER.owner)).toEqual({ live: 0, removed: 0 });
    store[Symbol.dispose]();
  });

  it('ends the process where it is damaged, though the disk takes no mark, and says what helps', () => {
    using home = new Home();
    const fatal: StoreError[] = [];
    const put = Array.from({ length: 2_000 }, (_, index) => recordOf(String(index + 1), 'a'.repeat(500)));
    home.open().store.write({ owner: OWNER, put, drop: [] }, true);
    home.close();
    const file = join(home.directory, 'mirror.db');
    const damaged = readFileSync(file);
    // The indexes stay whole: it is opened, and found damaged when the records are read.
    for (let place = 0; place < damaged.length; place += PAGE_BYTES) {
      const page = damaged.subarray(place, place + PAGE_BYTES);
      if (page.includes('a'.repeat(500))) page.fill(0xa5, 0, 200);
    }
    writeFileSync(file, damaged);
    const { store } = home.open(undefined, (error) => fatal.push(error));
    // In the place of the mark.
    mkdirSync(`${file}.damaged`);
    expect(() => store.recordsAfter(OWNER.owner, 1, 0, 10_000)).toThrow(StoreError);
    rmSync(`${file}.damaged`, { recursive: true });
    expect(fatal.map(({ code }) => code)).toEqual(['store_corrupt']);
    expect(fatal[0]!.message).toContain('start the node again');
    expect(fatal[0]!.message).not.toContain('jobs.');
  });
});

const OWNER = {
  owner: '12D3KooWAnna' as NodeId,
  epoch: 1,
  upTo: 3,
  spans: [],
  digest: Buffer.alloc(32),
  newest: { bytes: Buffer.of(1), signature: Buffer.of(2) },
  former: undefined,
  heardAtMs: 0,
};

function recordOf(key: string, text: string) {
  const body = Buffer.from(text);
  return { owner: OWNER.owner, key, epoch: 1, seq: Number(key), body, proof: Buffer.of(3) };
}

/** Bodies are a letter, the state, and a digit, when they were made. */
function facetsOf(body: Uint8Array) {
  const [state = '', digit] = Buffer.from(body).toString();
  return /^\d$/.test(digit ?? '') ? { state, name: undefined, createdAtMs: Number(digit) } : undefined;
}

function raise(error: StoreError): void {
  throw error;
}

function open(
  directory: string,
  wallMs: () => number,
  onFatal: (error: StoreError) => void = raise,
  maxBytes = 4 * 1024 ** 2,
  hasSpace = (): boolean => true,
) {
  const damaged: NodeId[] = [];
  const setAside: string[] = [];
  const store = new SqliteMirrorStore({
    directory,
    facetsOf,
    wallMs,
    hasSpace,
    onFatal,
    maxBytes,
    onDamage: (owner) => damaged.push(owner),
    onSetAside: (file) => setAside.push(file),
  });
  return { store, damaged, setAside };
}

class Home implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cm-mirror-'));
  #store: SqliteMirrorStore | undefined;

  open(wallMs: () => number = () => 0, onFatal?: (error: StoreError) => void): ReturnType<typeof open> {
    this.#store?.[Symbol.dispose]();
    const opened = open(this.directory, wallMs, onFatal);
    this.#store = opened.store;
    return opened;
  }

  close(): void {
    this.#store?.[Symbol.dispose]();
    this.#store = undefined;
  }

  [Symbol.dispose](): void {
    this.#store?.[Symbol.dispose]();
    rmSync(this.directory, { recursive: true });
  }
}

import { describe, expect, it } from 'vitest';
import type { SourceRecord } from '../../../src/jobs/mirrored-jobs.ts';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { inspectRecord, recordSource } from '../../../src/node-records.ts';
import { PeerError } from '../../../src/peers/errors.ts';
import type { MirrorChangeListener } from '../../../src/peers/replication/mirror.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

const ANNA = 'anna' as NodeId;

describe('the source of the records of other nodes', () => {
  async function source() {
    const clock = new SteppedClock();
    await clock.advance(5_000);
    const listeners: MirrorChangeListener[] = [];
    const mirror = {
      state: (owner: NodeId) => (owner === ANNA ? ({ heardAtMs: 1_000.4, epoch: 7 } as never) : undefined),
      subscribe: (listener: MirrorChangeListener) => {
        listeners.push(listener);
        return { [Symbol.dispose]: () => void listeners.pop() };
      },
    };
    const store = { recordsOf: () => [], list: () => [] };
    return { source: recordSource({ mirror, store, locate: () => Promise.resolve(), clock }), listeners };
  }

  it('says how long ago an owner was heard, and of one that never was that it is for ever', async () => {
    const { source: records } = await source();
    expect(records.ageMsOf(ANNA)).toBe(4_000);
    expect(records.ageMsOf('bert' as NodeId)).toBe(Number.POSITIVE_INFINITY);
  });

  it('tells of a change at its place in its owner’s log, also when the owner is gone', async () => {
    const { source: records, listeners } = await source();
    const told: SourceRecord[] = [];
    using _subscription = records.subscribe((record) => told.push(record));
    const body = Buffer.from('x');
    listeners[0]!(ANNA, { key: 'a', seq: 3, body });
    listeners[0]!('bert' as NodeId, { key: 'b', seq: 0, body: undefined });
    expect(told).toEqual([
      { owner: ANNA, key: 'a', epoch: 7, seq: 3, body },
      { owner: 'bert', key: 'b', epoch: 0, seq: 0, body: undefined },
    ]);
  });
});

describe('a record that comes from another node', () => {
  const record = (body: Uint8Array | undefined) => ({ key: 'a', seq: 1, body });

  it('may tell of a removal, or be of a newer version', () => {
    expect(() => inspectRecord(record(undefined))).not.toThrow();
    expect(() => inspectRecord(record(Buffer.from('{"v":99}')))).not.toThrow();
  });

  it.each(['{"v":1}', 'no JSON', '[]'])('is a violation when it is %s', (text) => {
    expect(() => inspectRecord(record(Buffer.from(text)))).toThrow(PeerError);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeBatch, proveAll } from '../../../src/peers/replication/batch.ts';
import { decodeFrame, decodeRequest } from '../../../src/peers/replication/sync-messages.ts';
import { messagesOfNow, SIGNING } from './golden/messages.ts';

/**
 * Messages as released versions write them. A file here is never changed: a node that is updated later than its peers must be
 * understood, and must understand them. A new shape gets a file of its own beside the old one.
 */
const V1 = JSON.parse(
  readFileSync(join(import.meta.dirname, 'golden', 'messages-v1.json'), 'utf8'),
) as Record<keyof ReturnType<typeof messagesOfNow>, string>;

const bytesOf = (name: keyof typeof V1): Uint8Array => Buffer.from(V1[name], 'base64');

describe('messages of version 1', () => {
  it('are written as they always were', () => {
    const now = Object.entries(messagesOfNow()).map(([name, bytes]) => [
      name,
      Buffer.from(bytes).toString('base64'),
    ]);
    expect(Object.fromEntries(now)).toEqual(V1);
  });

  it('of gossip are read, with their proofs', () => {
    const batch = decodeBatch(bytesOf('gossip'));
    expect(batch.statement).toMatchObject({
      epoch: 5,
      incarnation: 6,
      tick: 7,
      from: 10,
      to: 20,
      head: 21,
      floor: 3,
      count: 2,
    });
    expect(batch.records).toEqual([
      { key: '0198c0de-0000-7000-8000-000000000001', seq: 12, body: expect.anything() as Uint8Array },
      { key: '0198c0de-0000-7000-8000-000000000002', seq: 20, body: undefined },
    ]);
    expect(Buffer.from(batch.records[0]!.body!).toString()).toBe('{"v":1}');
    expect(proveAll(batch, SIGNING)).toHaveLength(2);
  });

  it('that ask are read', () => {
    expect(decodeRequest(bytesOf('pull'))).toMatchObject({
      kind: 'pull', others: true, isInDoubt: false, wants: [{ epoch: 5, upTo: 10 }],
      evidence: [{}, {}], forgotten: [{ epoch: 1, incarnation: 2, tick: 3 }],
    }); // prettier-ignore
    expect(decodeRequest(bytesOf('locate'))).toEqual({
      kind: 'locate',
      key: '0198c0de-0000-7000-8000-000000000001',
    });
  });

  it('that answer are read', () => {
    expect(decodeFrame(bytesOf('batchFrame'))).toMatchObject({
      kind: 'batch',
      batch: { records: [{ seq: 12 }, { seq: 20 }] },
    });
    expect(decodeFrame(bytesOf('ownerFrame'))).toMatchObject({ kind: 'owner', ageMs: 1234 });
    expect(decodeFrame(bytesOf('relayFrame'))).toMatchObject({
      kind: 'relay', epoch: 5, from: 10, to: 20, statements: [{}], records: [{ statement: 0, index: 0, path: [{}] }],
    }); // prettier-ignore
    expect(decodeFrame(bytesOf('endFrame'))).toEqual({ kind: 'end' });
    expect(decodeFrame(bytesOf('doneFrame'))).toEqual({ kind: 'done' });
  });
});

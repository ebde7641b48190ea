import { generateKeyPairSync } from 'node:crypto';
import { encode } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeerError } from '../../../src/peers/errors.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { decodeBatch, encodeBatch, proveAll, signBatch } from '../../../src/peers/replication/batch.ts';
import { Coverage, MAX_SPANS } from '../../../src/peers/replication/coverage.ts';
import { decodeRecord, encodeRecord, MAX_BODY_BYTES } from '../../../src/peers/replication/log-record.ts';
import {
  HASH_BYTES,
  MAX_LEAVES,
  MAX_PATH_LENGTH,
  MerkleTree,
  rootOf,
} from '../../../src/peers/replication/merkle.ts';
import { decodeProof, isProved } from '../../../src/peers/replication/proof.ts';
import { SetDigest } from '../../../src/peers/replication/set-digest.ts';
import { decodeStatement, encodeStatement } from '../../../src/peers/replication/statement.ts';
import { decodeFrame, decodeRequest } from '../../../src/peers/replication/sync-messages.ts';
import { Ed25519Signing } from '../../../src/peers/signing.ts';

function newSigning(): Ed25519Signing {
  const { privateKey } = generateKeyPairSync('ed25519');
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  const publicKey = Buffer.from(privateKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return new Ed25519Signing({ privateKey, seed, nodeId: peerIdOf(publicKey) });
}

const anna = newSigning();
const mallory = newSigning();

const DRAFT = {
  epoch: 5,
  incarnation: 6,
  tick: 7,
  from: 10,
  to: 20,
  head: 20,
  floor: 3,
  digest: Buffer.alloc(32),
  card: Buffer.from('card'),
};
const LEAVES = [11, 15, 20].map((seq) =>
  encodeRecord({ key: `job ${seq}`, seq, body: Buffer.from(`body ${seq}`) }),
);

function batchOf(leaves = LEAVES, draft: Partial<typeof DRAFT> = {}): Uint8Array {
  return encodeBatch(signBatch({ ...DRAFT, ...draft }, leaves, anna), leaves);
}

describe('a signed batch', () => {
  it('comes back as it was signed, each record with a proof of its own', () => {
    const batch = decodeBatch(batchOf());
    const proofs = proveAll(batch, anna);
    expect(batch.statement).toMatchObject({ epoch: 5, incarnation: 6, tick: 7, from: 10, to: 20, count: 3 });
    expect(batch.records.map(({ key, seq }) => [key, seq])).toEqual([
      ['job 11', 11],
      ['job 15', 15],
      ['job 20', 20],
    ]);
    for (const [index, proof] of proofs.entries()) {
      const read = decodeProof(proof);
      expect(isProved(LEAVES[index]!, read, decodeStatement(read.signed.bytes))).toBe(true);
      expect(isProved(LEAVES[(index + 1) % 3]!, read, batch.statement)).toBe(false);
    }
  });

  it('is refused when a single bit of it is another', () => {
    const bytes = batchOf();
    const survivors: number[] = [];
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const forged = Uint8Array.from(bytes);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      try {
        proveAll(decodeBatch(forged), anna);
        survivors.push(bit);
      } catch (error) {
        expect(error).toBeInstanceOf(PeerError);
      }
    }
    expect(survivors).toEqual([]);
  });

  it('of somebody else is not the owner’s, whatever it says', () => {
    const forged = encodeStatement({ ...decodeBatch(batchOf()).statement });
    const batch = decodeBatch(encode([forged, mallory.sign(forged), LEAVES]));
    expect(() => proveAll(batch, anna)).toThrow(PeerError);
  });

  it.each<[string, () => Uint8Array]>([
    [
      'more records than are under its root',
      () => encodeBatch(signBatch(DRAFT, LEAVES.slice(0, 2), anna), LEAVES),
    ],
    ['records out of order', () => batchOf(LEAVES.toReversed())],
    ['a record beyond its end', () => batchOf(LEAVES, { to: 19 })],
    ['a record before its beginning', () => batchOf(LEAVES, { from: 11 })],
    ['an end before its beginning', () => batchOf([], { from: 21 })],
    ['an end beyond the head', () => batchOf([], { head: 19 })],
    ['a card that is too long', () => batchOf([], { card: Buffer.alloc(513) })],
    ['a negative place', () => batchOf([], { tick: -1 })],
    ['a place that cannot be counted to', () => batchOf([], { tick: 2 ** 60 })],
  ])('is refused with %s', (_what, make) => {
    expect(() => decodeBatch(make())).toThrow(PeerError);
  });

  it('of a later version within the first is read, whatever was added at its end', () => {
    const { statement } = decodeBatch(batchOf());
    const { owner, epoch, incarnation, tick, from, to, head, digest, floor, root, count, card } = statement;
    const longer = encode([
      1,
      owner,
      epoch,
      incarnation,
      tick,
      from,
      to,
      head,
      digest,
      floor,
      root,
      count,
      card,
      'new',
    ]);
    expect(decodeStatement(longer)).toEqual(statement);
    expect(() => decodeStatement(encode([2, owner, epoch]))).toThrow(PeerError);
  });
});

describe('bytes of a stranger', () => {
  const readers = { decodeBatch, decodeRecord, decodeStatement, decodeProof, decodeFrame, decodeRequest };

  it.each(Object.entries(readers))('never get more out of %s than its own error', (_name, read) => {
    const cbor = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.uint8Array({ maxLength: 80 }), fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.double(),
        fc.array(tie('value'), { maxLength: 14 }),
      ),
    })).value.map((value) => encode(value)); // prettier-ignore
    const check = (bytes: Uint8Array): void => {
      try {
        read(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(PeerError);
      }
    };
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), cbor), check), { numRuns: 3_000 });
    check(Buffer.alloc(60_000, 0x81));
    check(Buffer.from([0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    check(Buffer.from([0x5b, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff]));
  });

  it('cannot be a record in any form but one, since whoever passes it on encodes it again', () => {
    const record = { key: 'a', seq: 1, body: Buffer.from('b') };
    const leaf = Buffer.from(encodeRecord(record));
    expect(decodeRecord(leaf)).toMatchObject({ key: 'a', seq: 1 });
    expect(() => decodeRecord(encode(['a', 1, record.body, 'new']))).toThrow(PeerError);
    // The same number in two bytes.
    const longer = Buffer.concat([leaf.subarray(0, 3), Buffer.of(0x18, 1), leaf.subarray(4)]);
    expect(() => decodeRecord(longer)).toThrow(PeerError);
  });

  it.each([
    ['is too short', [Buffer.alloc(HASH_BYTES - 1)]],
    ['is no hash', ['text']],
    ['is one too many', Array.from({ length: MAX_PATH_LENGTH + 1 }, () => Buffer.alloc(HASH_BYTES))],
  ])('cannot be a way to a root of which a step %s', (_what, path) => {
    const frame = (steps: unknown[]): Uint8Array => encode([3, 1, 0, 1, [], [[0, 0, steps, LEAVES[0]]]]);
    expect(decodeFrame(frame([Buffer.alloc(HASH_BYTES)]))).toMatchObject({ kind: 'relay' });
    expect(() => decodeFrame(frame(path))).toThrow(PeerError);
  });

  it('cannot be a record that is too long', () => {
    const body = Buffer.alloc(MAX_BODY_BYTES + 1);
    expect(() => decodeRecord(encodeRecord({ key: 'a', seq: 1, body }))).toThrow(PeerError);
    expect(() => decodeRecord(encodeRecord({ key: 'a', seq: 0, body: undefined }))).toThrow(PeerError);
    expect(() => decodeRecord(encodeRecord({ key: '', seq: 1, body: undefined }))).toThrow(PeerError);
  });
});

describe('a Merkle tree', () => {
  it('proves each leaf at its place, and at no other', () => {
    for (const size of [1, 2, 3, 5, 8, 13, MAX_LEAVES]) {
      const leaves = Array.from({ length: size }, (_, index) => Buffer.from(`leaf ${index}`));
      const tree = new MerkleTree(leaves);
      for (const index of [0, size >> 1, size - 1]) {
        const path = tree.path(index);
        expect(rootOf(leaves[index]!, index, size, path)).toEqual(tree.root);
        if (size > 1) expect(rootOf(leaves[index]!, index ^ 1, size, path)).not.toEqual(tree.root);
        expect(rootOf(leaves[index]!, index, size, [...path, tree.root])).toBeUndefined();
      }
    }
  });

  it('does not take an inner node for a leaf', () => {
    const leaves = ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text));
    const tree = new MerkleTree(leaves);
    const [left, right] = [tree.path(2)[1]!, tree.path(0)[1]!];
    expect(rootOf(Buffer.concat([left, right]), 0, 1, [])).not.toEqual(tree.root);
  });
});

describe('the digest of a set', () => {
  it('is the same in whatever order things came and went', () => {
    const entries = fc.uniqueArray(fc.tuple(fc.string({ maxLength: 8 }), fc.nat()), {
      selector: String,
      minLength: 1,
    });
    fc.assert(
      fc.property(entries, fc.integer({ min: 0, max: 50 }), (all, gone) => {
        const one = new SetDigest();
        const other = new SetDigest();
        for (const [key, seq] of all) one.add(key, seq);
        for (const [key, seq] of all.toReversed()) other.add(key, seq);
        other.add('passing', 1);
        other.remove('passing', 1);
        expect(one.equals(other.bytes())).toBe(true);
        expect(SetDigest.from(one.bytes()).equals(one.bytes())).toBe(true);
        const [key, seq] = all[gone % all.length]!;
        one.remove(key, seq);
        expect(one.equals(other.bytes())).toBe(false);
      }),
    );
  });
});

describe('coverage', () => {
  it('is that of a set of all the numbers in it, whatever the order', () => {
    const span = fc.tuple(fc.nat(60), fc.nat(10)).map(([from, length]) => ({ from, to: from + length }));
    fc.assert(
      fc.property(fc.array(span, { maxLength: 20 }), (spans) => {
        const covered = new Set(
          spans.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at + 1)),
        );
        const coverage = spans.reduce((known, next) => known.with(next), new Coverage());
        const has = (seq: number): boolean =>
          seq <= coverage.upTo || coverage.spans.some(({ from, to }) => seq > from && seq <= to);
        for (let seq = 1; seq <= 72; seq += 1) expect(has(seq), `seq ${seq}`).toBe(covered.has(seq));
        expect(has(coverage.upTo + 1)).toBe(false);
      }),
    );
  });

  it('remembers a bounded number of stretches beyond a gap, the nearest ones', () => {
    let coverage = new Coverage();
    for (let at = 1_000; at > 0; at -= 2) coverage = coverage.with({ from: at, to: at + 1 });
    expect(coverage.spans.length).toBe(MAX_SPANS);
    expect(coverage.spans[0]).toEqual({ from: 2, to: 3 });
  });
});

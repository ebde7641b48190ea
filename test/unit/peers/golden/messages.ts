import { createPrivateKey, createPublicKey } from 'node:crypto';
import { encodeBatch, signBatch } from '../../../../src/peers/replication/batch.ts';
import { encodeRecord } from '../../../../src/peers/replication/log-record.ts';
import { MerkleTree } from '../../../../src/peers/replication/merkle.ts';
import {
  encodeBatchFrame,
  encodeFrame,
  encodeRequest,
} from '../../../../src/peers/replication/sync-messages.ts';
import { peerIdOf } from '../../../../src/peers/identity.ts';
import { Ed25519Signing } from '../../../../src/peers/signing.ts';

const SEED = Buffer.alloc(32, 0x42);
/** PKCS #8 of an Ed25519 seed (RFC 8410, section 7). */
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]),
  format: 'der',
  type: 'pkcs8',
});
const publicKey = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '', 'base64url');

/** A node whose key is known to everybody; its signatures are the same every time. */
export const SIGNING = new Ed25519Signing({ privateKey, seed: SEED, nodeId: peerIdOf(publicKey) });

const LEAVES = [
  { key: '0198c0de-0000-7000-8000-000000000001', seq: 12, body: Buffer.from('{"v":1}') },
  { key: '0198c0de-0000-7000-8000-000000000002', seq: 20, body: undefined },
].map(encodeRecord);

/** One of each message there is, as this version writes it. */
export function messagesOfNow() {
  const signed = signBatch(
    {
      epoch: 5, incarnation: 6, tick: 7, from: 10, to: 20, head: 21, floor: 3, digest: Buffer.alloc(32, 9),
      card: Buffer.from('{"name":"host","version":"1"}'),
    },
    LEAVES,
    SIGNING,
  ); // prettier-ignore
  const owner = SIGNING.publicKey;
  return {
    gossip: encodeBatch(signed, LEAVES),
    pull: encodeRequest({
      kind: 'pull',
      wants: [{ owner, epoch: 5, upTo: 10 }],
      others: true,
      evidence: [signed, signed],
      forgotten: [{ owner, epoch: 1, incarnation: 2, tick: 3 }],
      isInDoubt: false,
    }),
    locate: encodeRequest({ kind: 'locate', key: '0198c0de-0000-7000-8000-000000000001' }),
    batchFrame: encodeBatchFrame(signed, LEAVES),
    ownerFrame: encodeFrame({ kind: 'owner', owner, newest: signed, ageMs: 1234 }),
    relayFrame: encodeFrame({
      kind: 'relay', epoch: 5, from: 10, to: 20, statements: [signed],
      records: [{ statement: 0, index: 0, path: new MerkleTree(LEAVES).path(0), leaf: LEAVES[0]! }],
    }), // prettier-ignore
    endFrame: encodeFrame({ kind: 'end' }),
    doneFrame: encodeFrame({ kind: 'done' }),
  };
}

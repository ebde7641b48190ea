import { encode } from 'cborg';
import type { StreamProtocol } from '../network.ts';
import { readBatch, type Batch } from './batch.ts';
import { decodeArray, isPlace, MAX_BODY_BYTES, MAX_KEY_LENGTH } from './log-record.ts';
import { malformed } from './malformed.ts';
import { HASH_BYTES, MAX_PATH_LENGTH } from './merkle.ts';
import { MAX_OWNERS } from './mirror.ts';
import {
  isBytes,
  KEY_BYTES,
  SIGNATURE_BYTES,
  type SignedStatement,
  type StatementPlace,
} from './statement.ts';

/**
 * The sync protocol: one request, then frames until `done`. Who asks says how far it is covered for each owner; who answers streams
 * what is missing, its own log as it signs it anew, those of others with the proof of every record.
 */
export const SYNC_PROTOCOL: StreamProtocol = {
  id: '/container-manager/sync/1.0.0',
  maxFrameBytes: 512 * 1024,
  // One that catches up, one for a gap, and those that ask for a single job.
  maxInboundStreams: 16,
  // A peer that is asked for jobs it does not know asks for each of them.
  maxInboundPerSecond: 50,
};

/** Bytes of records in one frame, and how many. */
export const FRAME_BYTES = 192 * 1024;
export const FRAME_RECORDS = 512;
/** Most owners that are told of as forgotten in one request. */
export const MAX_FORGOTTEN = 256;
/** Most statements that show somebody what it said. */
const MAX_EVIDENCE = 4;
/** Most fields of one entry in a list: with room for those that a later version adds. */
const MAX_FIELDS = 8;
/** A record's key and place take less than that beside its body. */
const LEAF_OVERHEAD_BYTES = 256;

/** How far somebody is covered for an owner. */
export interface Want {
  readonly owner: Uint8Array;
  readonly epoch: number;
  readonly upTo: number;
}

/** An owner that was given up, and the last that was heard of it. */
export interface Forgotten extends StatementPlace {
  readonly owner: Uint8Array;
}

export type SyncRequest = PullRequest | LocateRequest;

export interface PullRequest {
  readonly kind: 'pull';
  readonly wants: readonly Want[];
  /** Whether the logs of owners that are not among `wants` are asked for, too. */
  readonly others: boolean;
  /** What who asks knows from who is asked, of its last two lives: shows one whose store was restored what it lost. */
  readonly evidence: readonly SignedStatement[];
  readonly forgotten: readonly Forgotten[];
  /** Who asks has all that who is asked ever said, and yet it is not what that has: one of its lives was lost on the way. */
  readonly isInDoubt: boolean;
}

/** Asks for the records of one key, whoever's they are. */
export interface LocateRequest {
  readonly kind: 'locate';
  readonly key: string;
}

/** A record of a third node, with what proves it: statement by its place in the frame's list, and the way to its root. */
export interface RelayedRecord {
  readonly statement: number;
  readonly index: number;
  readonly path: readonly Uint8Array[];
  readonly leaf: Uint8Array;
}

export type SyncFrame =
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** Begins the log of a third node: the newest that it said, and how long ago that was heard, ms. */
  | {
      readonly kind: 'owner';
      readonly owner: Uint8Array;
      readonly newest: SignedStatement;
      readonly ageMs: number;
    }
  | {
      readonly kind: 'relay';
      readonly epoch: number;
      readonly from: number;
      readonly to: number;
      readonly statements: readonly SignedStatement[];
      readonly records: readonly RelayedRecord[];
    }
  /** Ends the log that was begun. */
  | { readonly kind: 'end' }
  | { readonly kind: 'done' };

const PULL = 1;
const LOCATE = 2;
const FRAMES = { batch: 1, owner: 2, relay: 3, end: 4, done: 5 } as const;

export function encodeRequest(request: SyncRequest): Uint8Array {
  if (request.kind === 'locate') return encode([LOCATE, request.key]);
  const { wants, others, evidence, forgotten, isInDoubt } = request;
  return encode([
    PULL,
    wants.map(({ owner, epoch, upTo }) => [owner, epoch, upTo]),
    others,
    evidence.map(writeSigned),
    forgotten.map(({ owner, epoch, incarnation, tick }) => [owner, epoch, incarnation, tick]),
    isInDoubt,
  ]);
}

/** Throws a `PeerError` `peer_violation`, as all that read do here. */
export function decodeRequest(bytes: Uint8Array): SyncRequest {
  const [kind, ...fields] = decodeArray(bytes, 2, 'sync request');
  if (kind === LOCATE) return { kind: 'locate', key: readKey(fields[0]) };
  if (kind !== PULL || fields.length < 5) throw malformed('sync request');
  const [wants, others, evidence, forgotten, isInDoubt] = fields;
  if (typeof others !== 'boolean' || typeof isInDoubt !== 'boolean') throw malformed('sync request');
  return {
    kind: 'pull',
    wants: readList(wants, MAX_OWNERS, 'wants').map(readWant),
    others,
    evidence: readList(evidence, MAX_EVIDENCE, 'evidence').map(readSigned),
    forgotten: readList(forgotten, MAX_FORGOTTEN, 'forgotten').map(readForgotten),
    isInDoubt,
  };
}

/** `leaves` and `signed` are those of the batch, as they were made. */
export function encodeBatchFrame(signed: SignedStatement, leaves: readonly Uint8Array[]): Uint8Array {
  return encode([FRAMES.batch, signed.bytes, signed.signature, leaves]);
}

export function encodeFrame(frame: Exclude<SyncFrame, { kind: 'batch' }>): Uint8Array {
  switch (frame.kind) {
    case 'owner':
      return encode([FRAMES.owner, frame.owner, ...writeSigned(frame.newest), frame.ageMs]);
    case 'relay':
      return encode([
        FRAMES.relay,
        frame.epoch,
        frame.from,
        frame.to,
        frame.statements.map(writeSigned),
        frame.records.map(({ statement, index, path, leaf }) => [statement, index, path, leaf]),
      ]);
    case 'end':
    case 'done':
      return encode([FRAMES[frame.kind]]);
  }
}

export function decodeFrame(bytes: Uint8Array): SyncFrame {
  const [kind, ...fields] = decodeArray(bytes, 1, 'sync frame');
  switch (kind) {
    case FRAMES.batch:
      return { kind: 'batch', batch: readBatch(fields) };
    case FRAMES.owner: {
      const [owner, statement, signature, ageMs] = fields;
      if (!isBytes(owner, KEY_BYTES) || !isPlace(ageMs)) throw malformed('sync frame: owner');
      return { kind: 'owner', owner, newest: readSigned([statement, signature]), ageMs };
    }
    case FRAMES.relay:
      return readRelay(fields);
    case FRAMES.end:
      return { kind: 'end' };
    case FRAMES.done:
      return { kind: 'done' };
    default:
      throw malformed('sync frame: unknown kind');
  }
}

function readRelay([epoch, from, to, statements, records]: readonly unknown[]): SyncFrame {
  if (!isPlace(epoch) || !isPlace(from) || !isPlace(to) || from > to) throw malformed('sync frame: relay');
  return {
    kind: 'relay',
    epoch,
    from,
    to,
    statements: readList(statements, FRAME_RECORDS, 'statements').map(readSigned),
    records: readList(records, FRAME_RECORDS, 'records').map(readRelayed),
  };
}

function readRelayed(value: unknown): RelayedRecord {
  const [statement, index, path, leaf] = readList(value, MAX_FIELDS, 'record');
  const isRight =
    isPlace(statement) &&
    isPlace(index) &&
    leaf instanceof Uint8Array &&
    leaf.length <= MAX_BODY_BYTES + LEAF_OVERHEAD_BYTES;
  if (!isRight) throw malformed('sync frame: record');
  return { statement, index, path: readList(path, MAX_PATH_LENGTH, 'path').map(readHash), leaf };
}

function readHash(value: unknown): Uint8Array {
  if (!isBytes(value, HASH_BYTES)) throw malformed('sync frame: hash');
  return value;
}

function readWant(value: unknown): Want {
  const [owner, epoch, upTo] = readList(value, MAX_FIELDS, 'want');
  if (!isBytes(owner, KEY_BYTES) || !isPlace(epoch) || !isPlace(upTo)) throw malformed('sync request: want');
  return { owner, epoch, upTo };
}

function readForgotten(value: unknown): Forgotten {
  const [owner, epoch, incarnation, tick] = readList(value, MAX_FIELDS, 'forgotten');
  const isRight = isBytes(owner, KEY_BYTES) && isPlace(epoch) && isPlace(incarnation) && isPlace(tick);
  if (!isRight) throw malformed('sync request: forgotten');
  return { owner, epoch, incarnation, tick };
}

function readSigned(value: unknown): SignedStatement {
  const [bytes, signature] = readList(value, MAX_FIELDS, 'statement');
  if (!(bytes instanceof Uint8Array) || !isBytes(signature, SIGNATURE_BYTES)) throw malformed('statement');
  return { bytes, signature };
}

function writeSigned({ bytes, signature }: SignedStatement): [Uint8Array, Uint8Array] {
  return [bytes, signature];
}

function readKey(value: unknown): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_KEY_LENGTH)
    throw malformed('sync request: key');
  return value;
}

function readList(value: unknown, maxLength: number, what: string): unknown[] {
  if (!Array.isArray(value) || value.length > maxLength) throw malformed(`sync message: ${what}`);
  return value as unknown[];
}

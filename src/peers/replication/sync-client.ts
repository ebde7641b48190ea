import type { NodeId } from '../../kernel/ids.ts';
import { PeerError } from '../errors.ts';
import type { PeerNetwork, PeerStream } from '../network.ts';
import type { Signing } from '../signing.ts';
import { proveAll, requireSigned, type Batch } from './batch.ts';
import { decodeRecord, type LogRecord } from './log-record.ts';
import { malformed } from './malformed.ts';
import type { Mirror, ProvedRecord } from './mirror.ts';
import { encodeProof, isProved } from './proof.ts';
import { decodeStatement, type SignedStatement, type Statement } from './statement.ts';
import {
  decodeFrame,
  encodeRequest,
  SYNC_PROTOCOL,
  type SyncFrame,
  type SyncRequest,
} from './sync-messages.ts';

export interface SyncClientDependencies {
  readonly network: PeerNetwork;
  readonly mirror: Mirror;
  readonly signing: Signing;
  /** Throws for a record that means nothing. */
  readonly inspect: (record: LogRecord) => void;
  /** Whether an owner's log is mirrored at all. */
  readonly isWanted: (owner: NodeId, statement: Statement) => boolean;
  /** Told of the newest that the peer has heard in this node's own name, and how long ago it says that was. */
  readonly onOwn: (statement: Statement, signed: SignedStatement, ageMs: number) => void;
}

/** An owner's log as it is being delivered. */
interface Transfer {
  readonly owner: NodeId;
  readonly isOwner: boolean;
  readonly publicKey: Uint8Array;
  /** The highest place that the owner signed for: nobody else can claim more. */
  readonly limit: { readonly epoch: number; readonly head: number };
  /** Up to where it was delivered; undefined before the first frame. */
  upTo: number | undefined;
  /** Something came that may not be on disk yet. */
  hasNews: boolean;
  /** Keys that were delivered, where it began at the beginning. */
  seen: Set<string> | undefined;
}

type RelayFrame = Extract<SyncFrame, { kind: 'relay' }>;

/** What came of a request. */
export interface Pulled {
  readonly records: number;
}

/**
 * Asks a peer, and takes what it streams, frame by frame, each in a transaction of its own: an answer that breaks off leaves what
 * came. A log that has come as a whole is on disk; a flush for each frame would take longer than all else. Fails with a `PeerError`, `peer_violation` for whatever cannot be proved, or with the signal's reason.
 */
export async function request(
  peer: NodeId,
  message: SyncRequest,
  signal: AbortSignal,
  deps: SyncClientDependencies,
): Promise<Pulled> {
  const stream = await deps.network.open(peer, SYNC_PROTOCOL, signal);
  const onAbort = (): void => stream.abort(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await stream.write(encodeRequest(message));
    await stream.end();
    return await new Answer(peer, message.kind === 'pull', deps).read(stream);
  } catch (error) {
    stream.abort(error as Error);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** One answer while it is read. */
class Answer {
  readonly #peer: NodeId;
  /** Whether whole logs are delivered, and not single records. */
  readonly #isPull: boolean;
  readonly #deps: SyncClientDependencies;
  /** Statements whose signature was checked, by both. */
  readonly #checked = new Map<string, Statement>();
  #transfer: Transfer | undefined;
  #records = 0;

  constructor(peer: NodeId, isPull: boolean, deps: SyncClientDependencies) {
    this.#peer = peer;
    this.#isPull = isPull;
    this.#deps = deps;
  }

  async read(stream: PeerStream): Promise<Pulled> {
    for (;;) {
      const bytes = await stream.read();
      if (bytes === undefined)
        throw new PeerError('peer_unreachable', 'the answer broke off', { retryable: true });
      const frame = decodeFrame(bytes);
      if (frame.kind === 'done') return { records: this.#records };
      this.#take(frame);
    }
  }

  #take(frame: Exclude<SyncFrame, { kind: 'done' }>): void {
    switch (frame.kind) {
      case 'batch':
        return this.#takeBatch(frame.batch);
      case 'owner':
        return this.#begin(frame.owner, frame.newest, frame.ageMs);
      case 'relay':
        return this.#takeRelay(frame);
      case 'end':
        return this.#end();
    }
  }

  /** Only the peer's own log comes as it is signed now. */
  #takeBatch(batch: Batch): void {
    const { statement, signed, records } = batch;
    const owner = this.#deps.signing.nodeIdOf(statement.owner);
    if (owner !== this.#peer) throw malformed('sync answer: a batch of somebody else');
    const proofs = proveAll(batch, this.#deps.signing);
    if (!this.#deps.isWanted(owner, statement) || !this.#deps.mirror.hear(owner, statement, signed)) return;
    if (this.#deps.mirror.isBehind(owner, statement)) return;
    this.#transfer ??= this.#newTransfer(statement, true);
    const proved = records.map((record, index) => ({ record, proof: proofs[index] as Uint8Array }));
    this.#deliver(this.#transfer, statement, proved);
  }

  #begin(publicKey: Uint8Array, newest: SignedStatement, ageMs: number): void {
    const statement = this.#checkedStatement(newest, publicKey);
    const owner = this.#deps.signing.nodeIdOf(publicKey);
    this.#transfer = undefined;
    if (owner === this.#deps.network.nodeId) return this.#deps.onOwn(statement, newest, ageMs);
    if (!this.#deps.isWanted(owner, statement)) return;
    if (!this.#deps.mirror.hear(owner, statement, newest, ageMs)) return;
    this.#transfer = this.#newTransfer(statement, false);
  }

  #takeRelay(frame: RelayFrame): void {
    const transfer = this.#transfer;
    // The log of an owner that is not wanted here.
    if (transfer === undefined) return;
    const { limit, publicKey } = transfer;
    if (frame.epoch !== limit.epoch) return;
    if (frame.to > limit.head) throw malformed('sync answer: more than the owner said');
    const statements = frame.statements.map((signed) => this.#checkedStatement(signed, publicKey));
    let last = frame.from;
    const proved = frame.records.map(({ statement: place, index, path, leaf }): ProvedRecord => {
      const record = decodeRecord(leaf);
      const statement = statements[place];
      const signed = frame.statements[place];
      const isRight =
        statement?.epoch === frame.epoch &&
        record.seq > last &&
        record.seq <= frame.to &&
        record.seq > statement.from &&
        record.seq <= statement.to;
      if (!isRight || signed === undefined) throw malformed('sync answer: record out of place');
      if (!isProved(leaf, { signed, index, path }, statement))
        throw malformed('sync answer: record without proof');
      last = record.seq;
      return { record, proof: encodeProof({ signed, index, path }) };
    });
    this.#deliver(transfer, frame, proved);
  }

  #deliver(
    transfer: Transfer,
    { epoch, from, to }: { epoch: number; from: number; to: number },
    records: readonly ProvedRecord[],
  ): void {
    if (transfer.upTo === undefined) transfer.seen = from === 0 ? new Set() : undefined;
    else if (from !== transfer.upTo) throw malformed('sync answer: a gap in it');
    for (const { record } of records) {
      this.#deps.inspect(record);
      transfer.seen?.add(record.key);
    }
    transfer.upTo = to;
    this.#records += records.length;
    const { owner } = transfer;
    if (records.length > 0) transfer.hasNews = true;
    this.#deps.mirror.take({ owner, epoch, span: { from, to }, records });
  }

  #end(): void {
    const transfer = this.#transfer;
    this.#transfer = undefined;
    if (transfer?.hasNews === true) this.#deps.mirror.persist(transfer.owner);
    if (transfer?.seen === undefined || transfer.upTo === undefined || !this.#isPull) return;
    // Of a third node's log only the whole, up to what the owner signed, shows what is not there any more.
    const state = this.#deps.mirror.state(transfer.owner);
    if (state?.epoch !== transfer.limit.epoch) return;
    if (transfer.isOwner || transfer.upTo === transfer.limit.head)
      this.#deps.mirror.dropAllBut(transfer.owner, transfer.seen, transfer.upTo);
  }

  #newTransfer({ epoch, head, owner: publicKey }: Statement, isOwner: boolean): Transfer {
    const owner = this.#deps.signing.nodeIdOf(publicKey);
    return {
      owner,
      isOwner,
      publicKey,
      limit: { epoch, head },
      upTo: undefined,
      hasNews: false,
      seen: undefined,
    };
  }

  /** Many records were signed under one statement: each is checked once. */
  #checkedStatement(signed: SignedStatement, publicKey: Uint8Array): Statement {
    const name = Buffer.concat([signed.signature, signed.bytes]).toString('latin1');
    let statement = this.#checked.get(name);
    if (statement === undefined) {
      statement = decodeStatement(signed.bytes);
      requireSigned(statement, signed, this.#deps.signing);
      if (this.#checked.size >= MAX_CHECKED) this.#checked.clear();
      this.#checked.set(name, statement);
    }
    if (Buffer.compare(statement.owner, publicKey) !== 0)
      throw malformed('sync answer: statement of somebody else');
    return statement;
  }
}

/** Most statements that are remembered as checked within one answer. */
const MAX_CHECKED = 4096;

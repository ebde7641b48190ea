import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { PeerError } from '../errors.ts';
import type { PeerNetwork } from '../network.ts';
import { SilenceWatch } from '../silence-watch.ts';
import type { Signing } from '../signing.ts';
import { proveAll, requireSigned, type Batch } from './batch.ts';
import { decodeRecord, type LogRecord } from './log-record.ts';
import { malformed } from './malformed.ts';
import type { Mirror, ProvedRecord } from './mirror.ts';
import { MAX_RECORDS_PER_OWNER } from './owner-state.ts';
import { encodeProof, isProved } from './proof.ts';
import { SetDigest } from './set-digest.ts';
import { decodeStatement, type SignedStatement, type Statement } from './statement.ts';
import {
  decodeFrame,
  encodeRequest,
  SYNC_PROTOCOL,
  type SyncFrame,
  type SyncRequest,
} from './sync-messages.ts';

/** A peer that sends nothing for so long has its turn again later, ms: others wait. */
const MAX_SILENCE_MS = 10_000;

export interface SyncClientDependencies {
  readonly clock: Clock;
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

/** Most statements that are remembered as checked within one answer. */
const MAX_CHECKED = 4096;
/** Most keys of one log that are remembered within one answer: of more records than are kept, removed ones included. */
const MAX_SEEN = 2 * MAX_RECORDS_PER_OWNER;

/** An owner's log as it is being delivered. */
interface Transfer {
  readonly owner: NodeId;
  readonly isOwner: boolean;
  readonly publicKey: Uint8Array;
  /** The highest place that the owner signed for: nobody else can claim more. */
  readonly limit: Pick<Statement, 'epoch' | 'head' | 'digest'>;
  /** Up to where it was delivered; undefined before the first frame. */
  upTo: number | undefined;
  /** Something came that may not be on disk yet. */
  hasNews: boolean;
  /** What was delivered, where it began at the beginning, and was not more than is kept. */
  whole: Whole | undefined;
}

/** All of a log: the keys in it, and the digest of what was not removed. */
interface Whole {
  readonly seen: Set<string>;
  readonly digest: SetDigest;
}

type RelayFrame = Extract<SyncFrame, { kind: 'relay' }>;

/**
 * Asks a peer, and takes what it streams, frame by frame, each in a transaction of its own: an answer that breaks off leaves what
 * came. A log that has come as a whole is on disk; a flush for each frame would take longer than all else. Gives back how many records
 * came. Fails with a `PeerError`, `peer_violation` for whatever cannot be proved, or with the signal's reason; where it is one log of
 * several that cannot be proved, the others have been taken.
 */
export async function request(
  peer: NodeId,
  message: SyncRequest,
  signal: AbortSignal,
  deps: SyncClientDependencies,
): Promise<number> {
  const stream = await deps.network.open(peer, SYNC_PROTOCOL, signal);
  const onAbort = (): void => stream.abort(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  using watch = new SilenceWatch(deps.clock, MAX_SILENCE_MS, () => stream.abort(brokenOff('it is silent')));
  try {
    await watch.during(stream.write(encodeRequest(message)));
    await watch.during(stream.end());
    return await new Answer(peer, message, deps).read(() => watch.during(stream.read()));
  } catch (error) {
    stream.abort(error as Error);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function brokenOff(why: string): PeerError {
  return new PeerError('peer_unreachable', `the answer broke off: ${why}`, { retryable: true });
}

/** One answer while it is read. */
class Answer {
  readonly #peer: NodeId;
  /** Whether whole logs are delivered, and not single records. */
  readonly #isPull: boolean;
  /** Whether logs of others than the peer were asked for. */
  readonly #hasOthers: boolean;
  readonly #deps: SyncClientDependencies;
  /** Statements whose signature was checked, by both. */
  readonly #checked = new Map<string, Statement>();
  #transfer: Transfer | undefined;
  #records = 0;
  /** Of the first log that could not be proved. */
  #failure: PeerError | undefined;

  constructor(peer: NodeId, message: SyncRequest, deps: SyncClientDependencies) {
    this.#peer = peer;
    this.#isPull = message.kind === 'pull';
    this.#hasOthers = message.kind === 'locate' || message.others;
    this.#deps = deps;
  }

  async read(next: () => Promise<Uint8Array | undefined>): Promise<number> {
    for (;;) {
      const bytes = await next();
      if (bytes === undefined) throw brokenOff('it has ended');
      const frame = decodeFrame(bytes);
      if (frame.kind === 'done') break;
      this.#take(frame);
    }
    if (this.#failure !== undefined) throw this.#failure;
    return this.#records;
  }

  #take(frame: Exclude<SyncFrame, { kind: 'done' }>): void {
    switch (frame.kind) {
      case 'batch':
        return this.#takeBatch(frame.batch);
      case 'owner':
        if (!this.#hasOthers) throw malformed('sync answer: a log that was not asked for');
        return this.#orGiveUp(() => this.#begin(frame.owner, frame.newest, frame.ageMs));
      case 'relay':
        return this.#orGiveUp(() => this.#takeRelay(frame));
      case 'end':
        return this.#end();
    }
  }

  /** What cannot be proved of one log spoils no other: who passes it on may be as honest as can be. */
  #orGiveUp(take: () => void): void {
    try {
      take();
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#failure ??= error;
      this.#transfer = undefined;
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
    if (transfer.upTo === undefined)
      transfer.whole = from === 0 ? { seen: new Set(), digest: new SetDigest() } : undefined;
    else if (from !== transfer.upTo) throw malformed('sync answer: a gap in it');
    for (const { record } of records) {
      this.#deps.inspect(record);
      transfer.whole?.seen.add(record.key);
      if (record.body !== undefined) transfer.whole?.digest.add(record.key, record.seq);
    }
    if (transfer.whole !== undefined && transfer.whole.seen.size > MAX_SEEN) transfer.whole = undefined;
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
    if (transfer?.whole === undefined || transfer.upTo === undefined || !this.#isPull) return;
    const { owner, isOwner, upTo, limit, whole } = transfer;
    if (this.#deps.mirror.state(owner)?.epoch !== limit.epoch) return;
    // Of a third node's log only what the owner has signed a digest of shows what is not there any more.
    if (isOwner || (upTo === limit.head && whole.digest.equals(limit.digest)))
      this.#deps.mirror.dropAllBut(owner, whole.seen, upTo);
  }

  #newTransfer({ epoch, head, digest, owner: publicKey }: Statement, isOwner: boolean): Transfer {
    const owner = this.#deps.signing.nodeIdOf(publicKey);
    return {
      owner,
      isOwner,
      publicKey,
      limit: { epoch, head, digest },
      upTo: undefined,
      hasNews: false,
      whole: undefined,
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

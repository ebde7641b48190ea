import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { PeerStream } from '../network.ts';
import type { Signing } from '../signing.ts';
import { encodeRecord, type LogRecord } from './log-record.ts';
import type { Mirror } from './mirror.ts';
import type { MirroredRecord, MirrorStore } from './mirror-store.ts';
import type { OwnLog } from './own-log.ts';
import type { OwnerState } from './owner-state.ts';
import { decodeProof } from './proof.ts';
import type { SignedStatement } from './statement.ts';
import {
  encodeBatchFrame,
  encodeFrame,
  FRAME_BYTES,
  FRAME_RECORDS,
  type PullRequest,
  type RelayedRecord,
  type Want,
} from './sync-messages.ts';
import type { Voice } from './voice.ts';

export interface SyncServerDependencies {
  readonly log: OwnLog;
  readonly voice: Voice;
  readonly mirror: Mirror;
  readonly store: MirrorStore;
  readonly signing: Signing;
  readonly clock: Clock;
}

type Write = (frame: Uint8Array) => Promise<void>;

/**
 * Streams what the one who asks is missing, no faster than it takes it. Of its own log it is told the newest that was heard, and
 * no record: it sees what it has lost, and whether somebody else speaks in its name.
 */
export async function servePull(
  { request, from: asker }: { readonly request: PullRequest; readonly from: NodeId },
  stream: Pick<PeerStream, 'write'>,
  deps: SyncServerDependencies,
): Promise<void> {
  const { mirror, signing } = deps;
  const write: Write = (frame) => stream.write(frame);
  const wants = new Map(request.wants.map((want) => [signing.nodeIdOf(want.owner), want]));
  const ownWant = wants.get(signing.nodeIdOf(signing.publicKey));
  if (ownWant !== undefined || request.others) await sendOwnLog(ownWant, write, deps);
  for (const state of [...mirror.owners()]) {
    const want = wants.get(state.owner);
    if (want === undefined && !request.others) continue;
    if (state.owner === asker) {
      await write(ownerFrame(state, deps));
      await write(encodeFrame({ kind: 'end' }));
      continue;
    }
    const from = startFor(state, want);
    if (from !== undefined) await sendMirror(state, from, write, deps);
  }
  await write(encodeFrame({ kind: 'done' }));
}

/** Sends the records of one key, the own one and those of others. */
export async function serveLocate(
  key: string,
  stream: Pick<PeerStream, 'write'>,
  deps: SyncServerDependencies,
): Promise<void> {
  const { log, voice, mirror, store } = deps;
  const own = log.record(key);
  if (own !== undefined) {
    const leaves = [encodeRecord(own)];
    await stream.write(encodeBatchFrame(voice.say({ from: own.seq - 1, to: own.seq }, leaves), leaves));
  }
  for (const record of store.recordsOf(key)) {
    const state = mirror.state(record.owner);
    if (state?.epoch !== record.epoch) continue;
    await stream.write(ownerFrame(state, deps));
    await stream.write(relayFrame(state.epoch, record.seq - 1, record.seq, [record]));
    await stream.write(encodeFrame({ kind: 'end' }));
  }
  await stream.write(encodeFrame({ kind: 'done' }));
}

/** Ends with a batch that reaches the head, be it without records: a sign of life, and the digest to check against. */
async function sendOwnLog(
  want: Want | undefined,
  write: Write,
  { log, voice }: SyncServerDependencies,
): Promise<void> {
  const isKnown =
    want !== undefined && want.epoch === log.epoch && want.upTo >= log.floor && want.upTo <= log.head;
  let from = isKnown ? want.upTo : 0;
  for (let limit = FRAME_RECORDS; ;) {
    const { head } = log;
    const page = fitting(log.recordsAfter(from, limit), limit, LEAF_ALLOWANCE_BYTES);
    limit = page.nextLimit;
    // A page that is not full goes on to the head: nothing in between counts any more.
    const isLast = page.isWhole;
    const to = isLast ? head : (page.records.at(-1)?.seq ?? head);
    const leaves = page.records.map(encodeRecord);
    await write(encodeBatchFrame(voice.say({ from, to }, leaves), leaves));
    from = to;
    if (isLast) break;
  }
  await write(encodeFrame({ kind: 'end' }));
}

async function sendMirror(
  state: Readonly<OwnerState>,
  start: number,
  write: Write,
  deps: SyncServerDependencies,
): Promise<void> {
  const { owner, epoch } = state;
  // What comes in meanwhile is beyond what the owner is shown to have said.
  const { head } = state.newest;
  await write(ownerFrame(state, deps));
  let limit = FRAME_RECORDS;
  for (let from = start; ;) {
    // It may have begun anew, or been forgotten, while the frame before was taken.
    const now = deps.mirror.state(owner);
    if (now?.epoch !== epoch) break;
    const upTo = Math.min(now.coverage.upTo, head);
    // It is fetched anew here meanwhile.
    if (upTo < from) break;
    const found = deps.store.recordsAfter(owner, epoch, from, limit);
    const page = fitting(
      found.filter(({ seq }) => seq <= upTo),
      limit,
      LEAF_ALLOWANCE_BYTES + PROOF_ALLOWANCE_BYTES,
    );
    limit = page.nextLimit;
    const isLast = page.isWhole;
    const to = isLast ? upTo : (page.records.at(-1)?.seq ?? upTo);
    await write(relayFrame(epoch, from, to, page.records));
    from = to;
    if (isLast) break;
  }
  await write(encodeFrame({ kind: 'end' }));
}

/** From where somebody is to be sent an owner's log; undefined when they have all that is here. */
function startFor(state: Readonly<OwnerState>, want: Want | undefined): number | undefined {
  const { epoch, newest } = state;
  if (want === undefined || want.epoch < epoch) return 0;
  if (want.epoch > epoch || want.upTo >= endOf(state)) return undefined;
  // What was removed before the floor is remembered by nobody: only the whole shows that it is gone.
  return want.upTo >= newest.floor ? want.upTo : 0;
}

/** Up to where an owner's log can be told: nothing is missing, and the owner is shown to have said it. */
function endOf({ coverage, newest }: Readonly<OwnerState>): number {
  return Math.min(coverage.upTo, newest.head);
}

function ownerFrame(state: Readonly<OwnerState>, { clock }: SyncServerDependencies): Uint8Array {
  const ageMs = Math.min(Math.round(clock.monotonicMs() - state.heardAtMs), Number.MAX_SAFE_INTEGER);
  return encodeFrame({ kind: 'owner', owner: state.newest.owner, newest: state.newestSigned, ageMs });
}

function relayFrame(epoch: number, from: number, to: number, records: readonly MirroredRecord[]): Uint8Array {
  const statements: SignedStatement[] = [];
  const places = new Map<string, number>();
  const relayed = records.map((record): RelayedRecord => {
    const { signed, index, path } = decodeProof(record.proof);
    const name = Buffer.from(signed.signature).toString('latin1');
    let statement = places.get(name);
    if (statement === undefined) {
      statement = statements.push(signed) - 1;
      places.set(name, statement);
    }
    return { statement, index, path, leaf: encodeRecord(record) };
  });
  return encodeFrame({ kind: 'relay', epoch, from, to, statements, records: relayed });
}

interface Page<T> {
  readonly records: readonly T[];
  /** Nothing comes after it. */
  readonly isWhole: boolean;
  /** How many to read next: what was read and does not fit was read in vain. */
  readonly nextLimit: number;
}

/** What of the records that were read, `limit` at most, fits into one frame; the first record always does. */
function fitting<T extends LogRecord>(read: readonly T[], limit: number, allowanceBytes: number): Page<T> {
  let bytes = 0;
  const cut = read.findIndex(({ body }, index) => {
    bytes += (body?.length ?? 0) + allowanceBytes;
    return index > 0 && bytes > FRAME_BYTES;
  });
  if (cut === -1)
    return { records: read, isWhole: read.length < limit, nextLimit: Math.min(limit * 2, FRAME_RECORDS) };
  return { records: read.slice(0, cut), isWhole: false, nextLimit: cut };
}

/** What a record's key and place take beside its body. */
const LEAF_ALLOWANCE_BYTES = 80;
/** And its proof: a statement, a signature, ten hashes. */
const PROOF_ALLOWANCE_BYTES = 560;

import type { NodeId } from '../../kernel/ids.ts';
import { Coverage } from './coverage.ts';
import type { MirrorOwner, RecordCounts } from './mirror-store.ts';
import { SetDigest } from './set-digest.ts';
import { decodeStatement, type SignedStatement, type Statement, type StatementPlace } from './statement.ts';

/** Most records of one owner, and as many removals that are remembered. */
export const MAX_RECORDS_PER_OWNER = 100_000;
/** With fewer there is place again for what found none: a tenth, since all of them are fetched for that. */
export const ROOMY_RECORD_COUNT = 90_000;

/** What this node knows of another one's log, beside the records themselves. The mirror alone changes it. */
export interface OwnerState {
  readonly owner: NodeId;
  epoch: number;
  coverage: Coverage;
  /** Of the records of the epoch that are there. */
  digest: SetDigest;
  newest: Statement;
  newestSigned: SignedStatement;
  /** The newest of the life before. Shows an owner whose store was restored meanwhile what it has lost. */
  formerSigned: SignedStatement | undefined;
  /** The newest that it said since it has lost what it once said, and before it knew. */
  newestBehind: StatementPlace | undefined;
  /** Monotonic ms. */
  heardAtMs: number;
  /** When it was last written down, monotonic ms. */
  savedAtMs: number;
  /** Of records that are there. */
  recordCount: number;
  /** Of removals that are remembered. */
  removedCount: number;
  /** Some records found no place. */
  isPartial: boolean;
  /** There may be records of an epoch before. */
  hasOlder: boolean;
}

/** What an owner's state is before anything of it was taken. */
export function stateOfNew(owner: NodeId, statement: Statement, signed: SignedStatement): OwnerState {
  return {
    owner,
    epoch: statement.epoch,
    coverage: new Coverage(),
    digest: new SetDigest(),
    newest: statement,
    newestSigned: signed,
    formerSigned: undefined,
    newestBehind: undefined,
    heardAtMs: Number.NEGATIVE_INFINITY,
    savedAtMs: Number.NEGATIVE_INFINITY,
    recordCount: 0,
    removedCount: 0,
    isPartial: false,
    hasOlder: false,
  };
}

/** `nowMs` by both clocks, since what is stored is by the wall clock. A time that is still to come counts as just now. */
export function stateOf(
  row: MirrorOwner,
  counts: RecordCounts,
  now: { readonly wallMs: number; readonly monotonicMs: number },
): OwnerState {
  const ageMs = Math.max(0, now.wallMs - row.heardAtMs);
  return {
    owner: row.owner,
    epoch: row.epoch,
    coverage: new Coverage(row.upTo, row.spans),
    digest: SetDigest.from(row.digest),
    newest: decodeStatement(row.newest.bytes),
    newestSigned: row.newest,
    formerSigned: row.former,
    newestBehind: undefined,
    heardAtMs: now.monotonicMs - ageMs,
    savedAtMs: now.monotonicMs,
    recordCount: counts.live,
    removedCount: counts.removed,
    // Which is not written down.
    isPartial: counts.live >= ROOMY_RECORD_COUNT,
    hasOlder: true,
  };
}

/** Whether something is missing that the owner is known to have said. */
export function hasGap(state: OwnerState): boolean {
  return state.newest.epoch === state.epoch && state.coverage.upTo < state.newest.head;
}

/** Whether all that was said is there, and is what the owner has. */
export function isWhole(state: OwnerState): boolean {
  return isAtHead(state) && state.digest.equals(state.newest.digest);
}

/** Whether all that was said is there, and yet it is not what the owner has. */
export function isMismatch(state: OwnerState): boolean {
  return isAtHead(state) && !state.digest.equals(state.newest.digest);
}

function isAtHead({ coverage, epoch, newest }: OwnerState): boolean {
  return newest.epoch === epoch && coverage.upTo === newest.head;
}

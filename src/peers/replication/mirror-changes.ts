import type { MirroredRecord } from './mirror-store.ts';
import { MAX_RECORDS_PER_OWNER, type OwnerState } from './owner-state.ts';
import { SetDigest } from './set-digest.ts';

/** A record, and the one whose place it takes. */
export interface Replacement {
  readonly after: MirroredRecord;
  readonly before: MirroredRecord | undefined;
}

/** What several records together change of an owner's mirror, counted before any of it is done. */
export class MirrorChanges {
  /** By key: what is to be stored, and what is to go. */
  readonly #puts = new Map<string, Replacement>();
  readonly #drops = new Map<string, Replacement>();
  readonly #epoch: number;
  readonly #digest: SetDigest;
  #recordCount: number;
  #removedCount: number;

  constructor({ epoch, digest, recordCount, removedCount }: Readonly<OwnerState>) {
    this.#epoch = epoch;
    this.#digest = SetDigest.from(digest.bytes());
    this.#recordCount = recordCount;
    this.#removedCount = removedCount;
  }

  get isEmpty(): boolean {
    return this.#puts.size + this.#drops.size === 0;
  }

  get puts(): Replacement[] {
    return [...this.#puts.values()];
  }

  get drops(): Replacement[] {
    return [...this.#drops.values()];
  }

  /** How the mirror is summed up once they are done. */
  get counts(): Pick<OwnerState, 'digest' | 'recordCount' | 'removedCount'> {
    return { digest: this.#digest, recordCount: this.#recordCount, removedCount: this.#removedCount };
  }

  /** What was put under a key. */
  pending(key: string): MirroredRecord | undefined {
    return this.#puts.get(key)?.after;
  }

  /** Puts a record in the place of `before`. False when the owner has as many as are kept. */
  put(after: MirroredRecord, before: MirroredRecord | undefined): boolean {
    const isRemoval = after.body === undefined;
    const isNew = before === undefined || (before.body === undefined) !== isRemoval;
    const isFull = (isRemoval ? this.#removedCount : this.#recordCount) >= MAX_RECORDS_PER_OWNER;
    if (isNew && isFull && !isRemoval) return false;
    // A removal that is not remembered has happened all the same.
    const isKept = !(isNew && isFull);
    if (!isKept && before === undefined) return true;
    this.#count(before, -1);
    if (isKept) this.#count(after, 1);
    const replacement = { after, before: this.#puts.get(after.key)?.before ?? before };
    this.#puts.delete(after.key);
    (isKept ? this.#puts : this.#drops).set(after.key, replacement);
    return true;
  }

  /** Counts out a record that goes without a trace. */
  countOut(record: MirroredRecord): void {
    this.#count(record, -1);
  }

  #count(record: MirroredRecord | undefined, by: 1 | -1): void {
    if (record === undefined) return;
    const { key, seq, epoch, body } = record;
    if (body === undefined) {
      this.#removedCount += by;
      return;
    }
    this.#recordCount += by;
    if (epoch !== this.#epoch) return;
    if (by === 1) this.#digest.add(key, seq);
    else this.#digest.remove(key, seq);
  }
}

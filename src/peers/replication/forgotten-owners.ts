import type { NodeId } from '../../kernel/ids.ts';
import type { Signing } from '../signing.ts';
import type { ForgottenMark } from './mirror-store.ts';
import { MAX_FORGOTTEN, type Forgotten } from './sync-messages.ts';
import { isNewer, type StatementPlace } from './statement.ts';

/** How long it is remembered, and told to others, that an owner was given up: as long as what was removed, ms. */
const REMEMBERED_MS = 7 * 86_400_000;

/**
 * Owners that will not return. It goes from peer to peer, so that none brings back what another one dropped; an owner that says
 * anything newer has returned.
 */
export class ForgottenOwners {
  readonly #signing: Signing;
  readonly #save: (marks: readonly ForgottenMark[]) => void;
  readonly #marks: Map<NodeId, ForgottenMark>;

  constructor(
    marks: readonly ForgottenMark[],
    deps: { signing: Signing; save: (marks: readonly ForgottenMark[]) => void; nowMs: number },
  ) {
    this.#signing = deps.signing;
    this.#save = deps.save;
    const remembered = marks.filter(({ atMs }) => deps.nowMs - atMs < REMEMBERED_MS);
    this.#marks = new Map(remembered.map((mark) => [deps.signing.nodeIdOf(mark.owner), mark]));
  }

  all(): readonly ForgottenMark[] {
    return [...this.#marks.values()];
  }

  /** False when that much is known already. */
  add(mark: Forgotten, nowMs: number): boolean {
    const owner = this.#signing.nodeIdOf(mark.owner);
    const known = this.#marks.get(owner);
    if (known !== undefined && !isNewer(mark, known)) return false;
    this.#marks.delete(owner);
    this.#marks.set(owner, { ...mark, atMs: nowMs });
    for (const oldest of this.#marks.keys()) {
      if (this.#marks.size <= MAX_FORGOTTEN) break;
      this.#marks.delete(oldest);
    }
    this.#save(this.all());
    return true;
  }

  /** Whether a statement is of the time before its owner was given up. */
  covers(owner: NodeId, statement: StatementPlace): boolean {
    const mark = this.#marks.get(owner);
    return mark !== undefined && !isNewer(statement, mark);
  }

  /** The owner has returned. */
  release(owner: NodeId): void {
    if (this.#marks.delete(owner)) this.#save(this.all());
  }
}

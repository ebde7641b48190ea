import type { NodeId } from '../../kernel/ids.ts';
import type { Signing } from '../signing.ts';
import type { ForgottenMark } from './mirror-store.ts';
import { MAX_FORGOTTEN, type Forgotten } from './sync-messages.ts';
import { isNewer, type StatementPlace } from './statement.ts';

/** How long it is remembered over restarts that an owner was given up, ms. */
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

  /** Written down at once. Gives back the owners of which that much was not known. */
  add(marks: readonly Forgotten[], nowMs: number): NodeId[] {
    const news = marks.flatMap((mark) => this.#add(mark, nowMs) ?? []);
    if (news.length > 0) this.#save(this.all());
    return news;
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

  #add({ owner: publicKey, epoch, incarnation, tick }: Forgotten, nowMs: number): NodeId | undefined {
    const mark = { owner: publicKey, epoch, incarnation, tick, atMs: nowMs };
    const owner = this.#signing.nodeIdOf(publicKey);
    const known = this.#marks.get(owner);
    if (known !== undefined && !isNewer(mark, known)) return undefined;
    this.#marks.delete(owner);
    this.#marks.set(owner, mark);
    for (const oldest of this.#marks.keys()) {
      if (this.#marks.size <= MAX_FORGOTTEN) break;
      this.#marks.delete(oldest);
    }
    return owner;
  }
}

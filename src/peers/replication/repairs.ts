import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Mirror } from './mirror.ts';

export interface RepairsDependencies {
  readonly mirror: Mirror;
  readonly clock: Clock;
  /** Something of an owner's log is missing; `hint` is a peer that may have it. */
  readonly noticeGap: (owner: NodeId, hint: NodeId | undefined) => void;
  readonly onMismatch: (owner: NodeId) => void;
}

/** A log that does not become what its owner says is fetched anew after this, ms, and then four times less often each time. */
const FIRST_WAIT_MS = 5_000;
const MAX_WAIT_MS = 600_000;

interface Distrust {
  /** How often the log was fetched anew. */
  readonly times: number;
  readonly untilMs: number;
  /** The whole log, from its owner, did not help. */
  readonly isInDoubt: boolean;
}

/** Has mirrors mended: what is missing is asked for, and what is not as its owner says is fetched anew. */
export class Repairs {
  readonly #deps: RepairsDependencies;
  /** Owners whose mirror is not what they have, as long as that lasts. */
  readonly #distrusted = new Map<NodeId, Distrust>();

  constructor(deps: RepairsDependencies) {
    this.#deps = deps;
  }

  /** Whether an owner is to begin its log anew, since fetching all of it did not help. */
  isInDoubt(owner: NodeId): boolean {
    return this.#distrusted.get(owner)?.isInDoubt ?? false;
  }

  check(owner: NodeId, hint?: NodeId): void {
    const { mirror, clock, noticeGap, onMismatch } = this.#deps;
    if (mirror.hasGap(owner)) return noticeGap(owner, hint);
    if (!mirror.isMismatch(owner)) {
      this.#distrusted.delete(owner);
      return;
    }
    const nowMs = clock.monotonicMs();
    const known = this.#distrusted.get(owner);
    if (known !== undefined && nowMs < known.untilMs) return;
    const times = (known?.times ?? 0) + 1;
    const untilMs = nowMs + Math.min(FIRST_WAIT_MS * 4 ** (times - 1), MAX_WAIT_MS);
    this.#distrusted.set(owner, { times, untilMs, isInDoubt: known?.isInDoubt ?? false });
    onMismatch(owner);
    this.fetchAnew(owner);
  }

  checkAll(): void {
    const { mirror } = this.#deps;
    for (const { owner } of [...mirror.owners()]) this.check(owner);
    for (const owner of this.#distrusted.keys())
      if (mirror.state(owner) === undefined) this.#distrusted.delete(owner);
  }

  fetchAnew(owner: NodeId): void {
    this.#deps.mirror.distrust(owner);
    this.#deps.noticeGap(owner, undefined);
  }

  /** The whole log of an owner has come from itself. */
  noteWhole(owner: NodeId): void {
    const known = this.#distrusted.get(owner);
    if (known !== undefined && this.#deps.mirror.isMismatch(owner))
      this.#distrusted.set(owner, { ...known, isInDoubt: true });
  }
}

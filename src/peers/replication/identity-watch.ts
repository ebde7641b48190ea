import type { NodeId } from '../../kernel/ids.ts';
import type { Statement } from './statement.ts';

/** So often must a life of a node speak that should have ended, before it counts as another node, not as an echo. */
const ECHOES = 3;

/** Most nodes of which one is remembered; those of which it matters speak again. */
const MAX_WATCHED = 1024;

/**
 * Finds two nodes that run with one identity, as happens when a data dir was copied: a node's lives follow each other, so that
 * what an earlier one says after a later one has begun is said by somebody else.
 */
export class IdentityWatch {
  readonly #echoes = new Map<NodeId, { incarnation: number; tick: number; count: number }>();

  /** Whether a statement shows a second node with the identity of `owner`, whose newest life is known to be `newest`. */
  isCopy(owner: NodeId, statement: Statement, newest: number): boolean {
    const { incarnation, tick } = statement;
    if (incarnation >= newest) return false;
    const known = this.#echoes.get(owner);
    if (known?.incarnation !== incarnation) {
      if (this.#echoes.size >= MAX_WATCHED) this.#echoes.clear();
      this.#echoes.set(owner, { incarnation, tick, count: 0 });
      return false;
    }
    if (tick <= known.tick) return false;
    known.tick = tick;
    known.count += 1;
    return known.count >= ECHOES;
  }

  /** An owner was given up: nothing is expected of it any more. */
  forget(owner: NodeId): void {
    this.#echoes.delete(owner);
  }
}

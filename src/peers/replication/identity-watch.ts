import type { NodeId } from '../../kernel/ids.ts';
import type { StatementPlace } from './statement.ts';

/** So often must a life of a node take its turn that should have ended, before it counts as another node, not as an echo. */
const ECHOES = 3;

/** Most nodes of which one is remembered; those of which it matters speak again. */
const MAX_WATCHED = 1024;

type Said = Pick<StatementPlace, 'incarnation' | 'tick'>;

interface Echo {
  readonly incarnation: number;
  tick: number;
  count: number;
  /** What the newest life had said when the earlier one was last heard. */
  newest: Said;
}

/**
 * Finds two nodes that run with one identity, as happens when a data dir was copied: a node's lives follow each other, so that
 * where two of them speak by turns, two nodes do.
 */
export class IdentityWatch {
  readonly #echoes = new Map<NodeId, Echo>();

  /** Whether a statement shows a second node with the identity of `owner`, whose newest statement is known to be `newest`. */
  isCopy(owner: NodeId, statement: Said, { incarnation: newestLife, tick: newestTick }: Said): boolean {
    const { incarnation, tick } = statement;
    if (incarnation >= newestLife) return false;
    const known = this.#echoes.get(owner);
    if (known?.incarnation !== incarnation) {
      if (this.#echoes.size >= MAX_WATCHED) this.#echoes.clear();
      const newest = { incarnation: newestLife, tick: newestTick };
      this.#echoes.set(owner, { incarnation, tick, count: 0, newest });
      return false;
    }
    // One that has lost count of its lives speaks out of an earlier one, too, but alone, until it is shown the later.
    const isTurn = newestLife !== known.newest.incarnation || newestTick > known.newest.tick;
    if (tick <= known.tick || !isTurn) return false;
    known.tick = tick;
    known.newest = { incarnation: newestLife, tick: newestTick };
    known.count += 1;
    return known.count >= ECHOES;
  }

  /** An owner was given up: nothing is expected of it any more. */
  forget(owner: NodeId): void {
    this.#echoes.delete(owner);
  }
}

import type { NodeId } from '../../kernel/ids.ts';

/** How well a node could take a job just now. */
export interface Bid {
  readonly hasImage: boolean;
  /** Jobs that wait for a worker or are worked on. */
  readonly depth: number;
  /** Whether one more may wait. */
  readonly hasRoom: boolean;
  readonly isDraining: boolean;
  /** It accepts jobs, and begins with none: it is paused, or its engine is away. */
  readonly isHeld: boolean;
}

/**
 * The nodes that would take a job, the best one first: one that begins with it before one that is held, then one that has the
 * image, then the shortest queue, then the lowest id.
 */
export function rankBids(bids: ReadonlyMap<NodeId, Bid>): NodeId[] {
  return [...bids]
    .filter(([, bid]) => bid.hasRoom && !bid.isDraining)
    .sort(
      ([oneNode, one], [otherNode, other]) =>
        Number(one.isHeld) - Number(other.isHeld) ||
        Number(other.hasImage) - Number(one.hasImage) ||
        one.depth - other.depth ||
        (oneNode < otherNode ? -1 : 1),
    )
    .map(([node]) => node);
}

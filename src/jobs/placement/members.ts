import type { NodeId } from '../../kernel/ids.ts';

/** What the jobs need to know of who else there is. */
export interface Members {
  /** Nodes that can be asked now. */
  connected(): readonly NodeId[];
  /** Nodes that were heard of lately, from whomever: those that are connected, and those that cannot be asked just now. */
  present(): readonly NodeId[];
  /** Hears of every node that can be asked from now on, or no longer. Must not throw. */
  subscribe(listener: (node: NodeId, isConnected: boolean) => void): Disposable;
}

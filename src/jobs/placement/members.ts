import type { NodeId } from '../../kernel/ids.ts';

/** What the jobs need to know of who else there is. */
export interface Members {
  /** Nodes that can be asked now. */
  connected(): readonly NodeId[];
  /** Hears of every node that can be asked from now on, or no longer. Must not throw. */
  subscribe(listener: (node: NodeId, isConnected: boolean) => void): Disposable;
}

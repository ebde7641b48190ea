import type { Clock } from '../../kernel/clock.ts';
import type { NodeId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { abortable } from '../../kernel/single-flight.ts';
import { rankBids, type Bid } from './rank-bids.ts';

/** How long all nodes together are given for their bids, ms. One that does not answer is left out. */
const BID_LIMIT_MS = 1_000;

/** Asks a node how well it could take a job with this image. */
export type AskBid = (node: NodeId, image: string, signal: AbortSignal) => Promise<Bid>;

/** The nodes that would take a job just now, the best one first. Fails with the signal's reason. */
export async function bestNodes(
  nodes: readonly NodeId[],
  image: string,
  { ask, clock, signal }: { readonly ask: AskBid; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<NodeId[]> {
  using limited = new LinkedSignal([signal], { clock, limitMs: BID_LIMIT_MS });
  const bids = new Map<NodeId, Bid>();
  await Promise.all(
    nodes.map(async (node) => {
      const asked = ask(node, image, limited.signal);
      const bid = await abortable(asked, limited.signal).catch(() => undefined);
      if (bid !== undefined) bids.set(node, bid);
    }),
  );
  signal.throwIfAborted();
  return rankBids(bids);
}

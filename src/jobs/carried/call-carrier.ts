import type { NodeId } from '../../kernel/ids.ts';

/** What the jobs need of the peers: somebody who brings a request to another node, and back what that answers. */
export interface CallCarrier {
  /**
   * Sends the request once. Gives what comes back piece by piece, no faster than it is read; whoever stops reading, or aborts
   * the signal, ends the call there too. Fails with the `CodedError` that the other node answers, with one of code
   * `peer_unreachable` when the node cannot be reached or is heard no more, with one of code `busy` when it serves too many
   * calls, and with the signal's reason. One of code `busy`, or with `sent: false` among its details, was not begun with.
   * `isLong`: it may take minutes, so that there are places which it must not take.
   */
  call(
    node: NodeId,
    request: Uint8Array,
    signal: AbortSignal,
    options?: { readonly isLong?: boolean },
  ): AsyncIterable<Uint8Array>;
}

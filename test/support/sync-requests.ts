import type { PullRequest } from '../../src/peers/replication/sync-messages.ts';

/** Asks for all that a node knows, as one does that knows nothing. */
export const PULL_ALL: PullRequest = {
  kind: 'pull',
  wants: [],
  others: true,
  evidence: [],
  forgotten: [],
  isInDoubt: false,
};

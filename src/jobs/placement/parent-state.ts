import type { NodeId } from '../../kernel/ids.ts';
import {
  CANCELLED,
  hasEnded,
  isDuplicate,
  isUp,
  type Job,
  type JobChild,
  type JobOutcome,
  type JobState,
} from '../job.ts';
import type { JobChange } from '../job-log.ts';

/** Nodes that a sentence names; of the others it gives the number. */
const MAX_NAMED = 3;

/**
 * The next step of a job that stands for its copies, from what is known of them; `undefined` when it is where it should be. It
 * waits until the first copy runs or has ended, runs until all have ended, and has gone well when all have.
 */
export function nextOfParent(job: Job): JobChange {
  const { state, desire, outcome, children = [] } = job;
  if (hasEnded(job)) return undefined;
  // Another node's counts, and what becomes of the copies is told there.
  if (isDuplicate(job)) return { to: state === 'running' ? 'stopping' : 'cancelled', patch: { outcome } };
  if (!children.every(hasEnded)) {
    if (desire !== 'run') return state === 'running' ? { to: 'stopping' } : undefined;
    return children.some((child) => isUp(child) || hasEnded(child)) ? forward(state) : undefined;
  }
  const failed = children.filter(
    (child) => child.state === 'failed' || (child.state === 'cancelled' && desire === 'run'),
  );
  if (failed.length > 0) return { to: 'failed', patch: { outcome: childFailed(failed, children.length) } };
  const hasRun = isUp(job);
  if (desire !== 'run' && !hasRun) return { to: 'cancelled', patch: { outcome: CANCELLED } };
  if (!hasRun) return forward(state);
  return { to: 'complete', patch: { outcome: desire === 'run' ? ALL_ENDED : STOPPED } };
}

/** What is known of a copy after one more thing was heard of it. It does not go back: what ended has, whatever is heard late. */
export function advanceChild(child: JobChild, heard: Partial<JobChild>): JobChild {
  if (hasEnded(child)) return child;
  const isDelivered = child.isDelivered || heard.isDelivered === true;
  const state = heard.state === undefined ? child.state : shownState(heard.state);
  // An attempt more is not a step back of the whole.
  const isOlder = isUp(child) && !isUp({ state }) && !hasEnded({ state });
  return { node: child.node, state: isOlder ? child.state : state, isDelivered };
}

/** How a copy comes to run is its own node's business. */
function shownState(state: JobState): JobState {
  return state === 'pulling' || state === 'starting' ? 'pending' : state;
}

function forward(state: JobState): JobChange {
  if (state === 'running') return undefined;
  return { to: state === 'pending' ? 'starting' : 'running' };
}

const ALL_ENDED: JobOutcome = {
  reason: 'children_ended',
  message: 'the copies on all nodes ended well',
  retryable: false,
};

const STOPPED: JobOutcome = { reason: 'stopped', message: 'stopped on request', retryable: false };

function childFailed(failed: readonly JobChild[], count: number): JobOutcome {
  const named: NodeId[] = failed.slice(0, MAX_NAMED).map(({ node }) => node);
  const more = failed.length > MAX_NAMED ? ` and ${failed.length - MAX_NAMED} more` : '';
  const message = `${failed.length} of ${count} copies did not end well: on ${named.join(', ')}${more}`;
  return { reason: 'child_failed', message, retryable: false };
}

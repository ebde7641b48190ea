import { queueStatsView } from '../views.ts';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import { queueStatsResult } from './results.ts';

export const stats = defineMethod<'QueueService.Stats'>()({
  summary: 'How full the queue is and what its workers do.',
  scope: 'read',
  params: noParams,
  result: queueStatsResult,
  errors: [],
  handle: (_params, deps) => queueStatsView(deps.jobs.queue()),
});

export const pause = defineMethod<'QueueService.Pause'>()({
  summary: 'Begins no further job; what is under way goes on, and jobs are still accepted. Twice is as once.',
  scope: 'full',
  params: noParams,
  result: queueStatsResult,
  errors: [],
  handle: (_params, deps) => {
    deps.jobs.pause();
    return queueStatsView(deps.jobs.queue());
  },
});

export const resume = defineMethod<'QueueService.Resume'>()({
  summary: 'Ends a pause. Twice is as once.',
  scope: 'full',
  params: noParams,
  result: queueStatsResult,
  errors: [],
  handle: (_params, deps) => {
    deps.jobs.resume();
    return queueStatsView(deps.jobs.queue());
  },
});

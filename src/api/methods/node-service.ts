import type { ApiDependencies } from '../ports.ts';
import type { NodeInfoView } from '../wire.ts';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import { nodeInfoResult } from './results.ts';

export const info = defineMethod<'NodeService.Info'>()({
  summary: 'Which node this is, and what it has to do.',
  scope: 'read',
  params: noParams,
  result: nodeInfoResult,
  errors: [],
  handle: (_params, deps) => infoView(deps),
});

export const drain = defineMethod<'NodeService.Drain'>()({
  summary:
    'Accepts no new job from now on, over restarts, too; jobs that wait or run go on. Twice is as once.',
  scope: 'full',
  params: noParams,
  result: nodeInfoResult,
  errors: [],
  handle: (_params, deps) => {
    deps.node.drain();
    return infoView(deps);
  },
});

export const undrain = defineMethod<'NodeService.Undrain'>()({
  summary: 'Accepts jobs again. Twice is as once.',
  scope: 'full',
  params: noParams,
  result: nodeInfoResult,
  errors: [],
  handle: (_params, deps) => {
    deps.node.undrain();
    return infoView(deps);
  },
});

function infoView({ node, jobs }: ApiDependencies): NodeInfoView {
  const { waiting, working, running } = jobs.queue();
  return { ...node.info(), waiting, working, running };
}

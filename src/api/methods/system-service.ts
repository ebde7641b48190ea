import { z } from 'zod';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import { healthResult } from './results.ts';

export const version = defineMethod<'SystemService.Version'>()({
  summary: 'Versions of the node, of Node.js, and of the engine where one answers.',
  scope: 'read',
  params: noParams,
  result: () =>
    z.strictObject({
      version: z.string(),
      node_version: z.string(),
      engine: z.string().exactOptional(),
      engine_api_version: z.string().exactOptional(),
    }),
  errors: [],
  handle: (_params, deps) => deps.version(),
});

export const health = defineMethod<'SystemService.Health'>()({
  summary: 'Whether the node and its parts work.',
  scope: 'read',
  params: noParams,
  result: healthResult,
  errors: [],
  handle: (_params, deps) => deps.health(),
});

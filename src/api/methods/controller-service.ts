import { z } from 'zod';
import type { Controller } from '../../catalog/controller.ts';
import { CONTROLLER_LIMITS, controllerDraftSchema } from '../../catalog/controller.ts';
import { CatalogError } from '../../catalog/errors.ts';
import { QUERY_LIMITS } from '../../catalog/selection.ts';
import { HIDDEN } from '../../jobs/hidden.ts';
import {
  controllerListView,
  controllerView,
  discoveryView,
  liveTestView,
  resolutionView,
} from '../controller-views.ts';
import type { Controllers } from '../ports.ts';
import type { ResolutionView } from '../wire.ts';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import {
  controllerListResult,
  controllerResult,
  discoveryResult,
  liveTestResult,
  resolutionResult,
} from './results.ts';

const idField = z.string().min(1).max(CONTROLLER_LIMITS.idLength).describe('id of a controller');
const versionField = z.string().max(CONTROLLER_LIMITS.versionLength);

const oneOf = {
  id: idField,
  version: versionField.optional().describe('may be left out where the id has one version only'),
};

const highest = { id: idField, version: versionField.optional().describe('left out: the highest') };

export const list = defineMethod<'ControllerService.List'>()({
  summary:
    'Every controller, in the order of the database file; `problem` says why that does not count as it is, `warnings` what in ' +
    'it does not. Values of env are hidden.',
  scope: 'read',
  params: noParams,
  result: controllerListResult,
  errors: [],
  handle: (_params, { controllers }) => controllerListView(controllers),
});

export const get = defineMethod<'ControllerService.Get'>()({
  summary: 'One controller; values of env are hidden.',
  scope: 'read',
  params: z.strictObject(highest),
  result: controllerResult,
  errors: ['not_found'],
  handle: ({ id, version }, { controllers }) => controllerView(existing(id, version, controllers)),
});

export const register = defineMethod<'ControllerService.Register'>()({
  summary: 'Adds a controller; it is validated at once where its image is on this host.',
  scope: 'full',
  params: controllerDraftSchema.superRefine(refuseHidden),
  result: controllerResult,
  errors: ['invalid_state'],
  // As it was sent: people read the database file, and know their units again.
  handle: async (_params, { controllers }, { signal }, sent) =>
    controllerView(await controllers.register(sent, signal)),
});

/** Every field but the id; a default is for new entries, and changes nothing here. */
const changesField = z
  .strictObject(
    Object.fromEntries(
      Object.entries(controllerDraftSchema.shape)
        .filter(([name]) => name !== 'id')
        .map(([name, field]: [string, z.ZodType]) => [name, field.nullable().optional()]),
    ),
  )
  .superRefine(refuseHidden)
  .describe('new values of fields; null takes an optional one away');

export const update = defineMethod<'ControllerService.Update'>()({
  summary: 'Changes fields of a controller; those that are not named stay as they are.',
  scope: 'full',
  params: z.strictObject({ ...oneOf, changes: changesField }),
  result: controllerResult,
  errors: ['not_found', 'invalid_state'],
  handle: async ({ id, version }, { controllers }, { signal }, { changes }) =>
    controllerView(await controllers.update(id, version, changes, signal)),
});

export const remove = defineMethod<'ControllerService.Remove'>()({
  summary:
    'Takes a controller out of the catalog; connections that it has go on. One that was discovered comes back with the next look ' +
    'at the images, as long as its image is there.',
  scope: 'full',
  params: z.strictObject(oneOf),
  result: () => z.strictObject({ id: z.string(), removed: z.literal(true) }),
  errors: ['not_found', 'invalid_state'],
  handle: async ({ id, version }, { controllers }) => {
    await controllers.remove(id, version);
    return { id, removed: true as const };
  },
});

export const discover = defineMethod<'ControllerService.Discover'>()({
  summary: 'Looks through the images for controllers now, and says what that changed.',
  scope: 'full',
  params: noParams,
  result: discoveryResult,
  errors: ['invalid_state'],
  handle: async (_params, { controllers }, { signal }) => discoveryView(await controllers.discover(signal)),
});

export const validate = defineMethod<'ControllerService.Validate'>()({
  summary: 'Looks into the image of a controller anew, and answers with the controller as it is then.',
  scope: 'full',
  params: z.strictObject(highest),
  result: controllerResult,
  errors: ['not_found', 'image_error'],
  handle: async ({ id, version }, { controllers }, { signal }) =>
    controllerView(await controllers.validate(id, version, signal)),
});

export const test = defineMethod<'ControllerService.Test'>()({
  summary:
    'Starts a controller once, without capabilities and with files it cannot write, makes the first call of a simulation, and ' +
    'says what came of it. The controller stays as it is.',
  scope: 'full',
  params: z.strictObject(highest),
  result: liveTestResult,
  errors: ['not_found', 'image_error'],
  handle: async ({ id, version }, { controllers }, { signal }) => {
    const controller = existing(id, version, controllers);
    return liveTestView(controller, await controllers.test(id, controller.version, signal));
  },
});

export const resolve = defineMethod<'ControllerService.Resolve'>()({
  summary: 'Which controller, library and procedure a connection with this query would get, or why none.',
  scope: 'read',
  params: z.strictObject({
    controller: z.string().max(QUERY_LIMITS.controller).optional().describe('id of a controller'),
    version: z.string().max(QUERY_LIMITS.version).optional().describe('a version, or a range such as 2.9'),
    path: z
      .string()
      .max(QUERY_LIMITS.path)
      .optional()
      .describe('names a controller, or a library where the controller lets it'),
    proc: z.string().max(QUERY_LIMITS.proc).optional().describe("in place of the controller's own procedure"),
  }),
  result: resolutionResult,
  errors: [],
  handle: (query, { controllers }): ResolutionView => {
    try {
      return resolutionView(controllers.resolve(query));
    } catch (error) {
      // Why there is none was the question.
      if (error instanceof CatalogError)
        return { resolved: false, reason: error.code, message: error.message };
      throw error;
    }
  },
});

/** What was shown has no values of env; sent back as it is, it would be written over those that there are. */
function refuseHidden({ env }: { readonly env?: unknown }, context: z.core.$RefinementCtx): void {
  for (const [name, value] of Object.entries((env ?? {}) as Record<string, unknown>)) {
    if (value !== HIDDEN) continue;
    const message = `must be a value: ${HIDDEN} stands where one is hidden; leave env out to keep those that there are`;
    context.addIssue({ code: 'custom', path: ['env', name], message });
  }
}

function existing(id: string, version: string | undefined, controllers: Controllers): Controller {
  const found = controllers.find(id, version);
  if (found !== undefined) return found;
  if (version === undefined || controllers.find(id) === undefined)
    throw new CatalogError('controller_not_found', `Controller not found: ${id}`, { details: { id } });
  const message = `Controller version not found: ${version}`;
  throw new CatalogError('version_not_found', message, { details: { id, version } });
}

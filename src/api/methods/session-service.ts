import { z } from 'zod';
import { sessionView } from '../controller-views.ts';
import { ApiError } from '../errors.ts';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import { sessionResult } from './results.ts';

const MAX_ID_LENGTH = 64;

export const list = defineMethod<'SessionService.List'>()({
  summary: 'The clients that are led to containers of this node, the oldest first.',
  scope: 'read',
  params: noParams,
  result: () => z.strictObject({ sessions: z.array(sessionResult()) }),
  errors: [],
  handle: (_params, { frontDoor }) => ({ sessions: (frontDoor?.sessions() ?? []).map(sessionView) }),
});

export const close = defineMethod<'SessionService.Close'>()({
  summary: 'Ends a connection on both of its sides; a container that was its own ends with it.',
  scope: 'full',
  params: z.strictObject({ session_id: z.string().min(1).max(MAX_ID_LENGTH).describe('id of a session') }),
  result: () => z.strictObject({ session_id: z.string(), closed: z.literal(true) }),
  errors: ['not_found'],
  handle: ({ session_id }, { frontDoor }) => {
    if (frontDoor?.closeSession(session_id) === true) return { session_id, closed: true as const };
    throw new ApiError('session_not_found', `there is no session ${JSON.stringify(session_id)}`, {
      details: { session_id },
    });
  },
});

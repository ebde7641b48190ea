import { z } from 'zod';
import { QUERY_NAMES } from '../frontdoor/query.ts';
import { jobStateField, nodeIdField } from './methods/fields.ts';
import { DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT } from './methods/job-service.ts';
import { invalidParams, readParams } from './params.ts';

/** `?follow`, `?follow=true` and `?follow=1` are the same. */
const flag = z
  .enum(['', 'true', '1', 'false', '0'])
  .transform((value) => value !== 'false' && value !== '0')
  .default(false);

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, { error: 'must be a whole number' })
    .transform(Number)
    .pipe(z.int().min(min).max(max));

export const noQuery = z.strictObject({});

export const readyQuery = z.strictObject({ verbose: flag });

/** For the reference alone: the front door reads its query itself. */
export const doorQuery = z.strictObject(
  Object.fromEntries([...QUERY_NAMES].map((name) => [name, z.string().optional()])),
);

const list = {
  limit: wholeNumber(1, MAX_LIST_LIMIT).default(DEFAULT_LIST_LIMIT),
  cursor: z.string().min(1).max(256).optional(),
};

export const containersQuery = z.strictObject(list);

export const jobsQuery = z.strictObject({
  ...list,
  /** One or several, separated by commas. */
  status: z
    .string()
    .max(128)
    .transform((text) => text.split(','))
    .pipe(z.array(jobStateField))
    .optional(),
  all_nodes: flag,
  owner: nodeIdField.optional(),
});

export const eventsQuery = z.strictObject({
  last_event_id: z.string().max(64).optional(),
  all_nodes: flag,
});

/** Lines from the end that a stream may begin with. */
const MAX_STREAM_TAIL = 1_000_000;

export const logsQuery = z.strictObject({
  follow: flag,
  since: z.string().max(64).optional(),
  tail: wholeNumber(0, MAX_STREAM_TAIL).optional(),
  timestamps: flag,
});

/** What a query says, checked. Fails with `invalid_params`, also when a name is there twice. */
export function readQuery<Schema extends z.ZodType>(schema: Schema, query: string): z.output<Schema> {
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (values.has(name)) throw invalidParams([{ path: name, message: 'was given twice' }]);
    values.set(name, value);
  }
  return readParams(schema, Object.fromEntries(values));
}

import type { z } from 'zod';
import { nearest } from '../kernel/nearest.ts';
import { ENTRY_FIELDS } from './controller.ts';

/** What is wrong with a field of an entry. */
export interface FieldProblem {
  /** From the entry down. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The first problem that a schema found, in our words. */
export function fieldProblem(error: z.ZodError, fields: readonly string[]): FieldProblem {
  const [issue] = error.issues;
  const path = (issue?.path ?? []).filter((step) => typeof step !== 'symbol');
  if (issue?.code !== 'unrecognized_keys') return { path, message: wordsOf(issue) };
  const [unknown = ''] = issue.keys;
  const parent = path.at(-1);
  const known = parent === undefined ? fields : (ENTRY_FIELDS[String(parent)] ?? []);
  const near = nearest(unknown, known);
  return {
    path: [...path, unknown],
    message: `is no field of an entry${near === undefined ? '' : `; did you mean ${near}?`}`,
  };
}

export function fieldText({ path, message }: FieldProblem): string {
  const field = path.join('.').slice(0, 128);
  return field === '' ? message : `${field}: ${message}`;
}

function wordsOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code !== 'invalid_type') return issue?.message ?? 'is not right';
  return issue.message.endsWith('received undefined') ? 'is missing' : `must be of type ${issue.expected}`;
}

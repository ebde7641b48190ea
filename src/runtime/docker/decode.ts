import type { z } from 'zod';
import { UnreadableReplyError } from './reply-errors.ts';

/** The reply in the shape we rely on. An engine can answer anything: what does not fit is an error, never a crash. */
export function decode<Shape extends z.ZodType>(shape: Shape, reply: unknown, what: string): z.infer<Shape> {
  const result = shape.safeParse(reply);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined ? '' : ` at ${issue.path.join('.') || 'the top'}: ${issue.message}`;
  throw new UnreadableReplyError(`the engine's ${what} reply is not what it should be${where}`);
}

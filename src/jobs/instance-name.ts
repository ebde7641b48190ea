import type { JobId } from '../kernel/ids.ts';

/** The name of a job's container. The id alone decides it, so that the engine itself refuses a second one. */
export function instanceName(id: JobId): string {
  return `cm-${id}`;
}

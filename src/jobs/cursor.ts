import { isJobId } from '../kernel/ids.ts';
import { JobError } from './errors.ts';
import type { Job } from './job.ts';

/** Where a page of jobs ended, as text that means nothing to a client. */
export function encodeCursor(job: Job): string {
  return Buffer.from(`${job.createdAtMs}.${job.id}`).toString('base64url');
}

export function decodeCursor(cursor: string): { createdAtMs: number; id: string } {
  const [createdAt, id] = Buffer.from(cursor.slice(0, 128), 'base64url').toString('latin1').split('.');
  if (createdAt === undefined || !/^\d{1,15}$/.test(createdAt) || id === undefined || !isJobId(id)) {
    throw new JobError(
      'invalid_spec',
      `cursor ${JSON.stringify(cursor.slice(0, 128))} was not given out by this node`,
      {
        details: { field: 'cursor' },
      },
    );
  }
  return { createdAtMs: Number(createdAt), id };
}

import type { RpcClient } from '../../src/api/client.ts';
import { CodedError } from '../../src/kernel/errors.ts';
import { isJobId } from '../../src/kernel/ids.ts';
import { UsageError } from './cli-error.ts';
import { printable } from './screen/printable.ts';

/** What an argument that names a job is. */
export const JOB_ARGUMENT = 'id of a job, or a beginning of it that no other has';

/** An id begins with the time it was made at; that part alone tells most jobs apart. */
export const MIN_SHORT_ID_LENGTH = 13;

/** The shortest beginning of each id, of so many characters at least, that no other of them has. */
export function shortIds(
  ids: readonly string[],
  minLength = MIN_SHORT_ID_LENGTH,
): ReadonlyMap<string, string> {
  const sorted = [...new Set(ids)].sort();
  return new Map(
    sorted.map((id, index) => {
      const needed = 1 + Math.max(sharedLength(id, sorted[index - 1]), sharedLength(id, sorted[index + 1]));
      return [id, id.slice(0, Math.max(minLength, needed)).replace(/-$/, '')];
    }),
  );
}

function sharedLength(id: string, other: string | undefined): number {
  let length = 0;
  while (other !== undefined && length < id.length && id[length] === other[length]) length += 1;
  return length;
}

/** Candidates listed for a prefix that several jobs have. */
const MAX_CANDIDATES = 10;

/** Fails as the node itself would for an id that no job has. */
export class NoSuchJobError extends CodedError<'not_found'> {
  override readonly name = 'NoSuchJobError';

  constructor(text: string) {
    super('not_found', `no job has an id that begins with ${JSON.stringify(text)}`, {
      details: { job_id: text },
    });
  }
}

/**
 * The id that `text` is, or is the only job's beginning of. A whole id is not looked up. Fails with `not_found`, and as
 * a mistake in the command line when several jobs begin so.
 */
export async function resolveJobId(client: RpcClient, text: string): Promise<string> {
  const prefix = text.toLowerCase();
  if (isJobId(prefix)) return prefix;
  if (!/^[0-9a-f-]{1,35}$/.test(prefix)) throw new NoSuchJobError(text);
  const query = { id_prefix: prefix, all_nodes: true, limit: MAX_CANDIDATES + 1 };
  const { jobs } = await client.call('JobService.List', query);
  const [first] = jobs;
  if (first === undefined) throw new NoSuchJobError(text);
  // Two nodes may have accepted the same key, and so have one id.
  if (jobs.every(({ job_id }) => job_id === first.job_id)) return first.job_id;
  const listed = jobs
    .slice(0, MAX_CANDIDATES)
    .map((job) => `  ${printable(`${job.job_id}  ${job.status}  ${job.name ?? job.image}`)}`);
  const more = jobs.length > MAX_CANDIDATES ? ['  and more'] : [];
  throw new UsageError(
    [`${prefix} is the beginning of several jobs' ids:`, ...listed, ...more].join('\n'),
    'give more characters of the id',
  );
}

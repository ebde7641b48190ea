import type { JobEventView } from '../../src/api/wire.ts';
import { STATUS_STYLES } from './job-columns.ts';
import { shortNodeIds } from './node-ids.ts';
import { localTime, timeOfDay } from './screen/format.ts';
import type { Column } from './screen/table.ts';

/** The history of one job. Days are shown only where it took more than one. */
export function historyColumns(events: readonly JobEventView[]): readonly Column<JobEventView>[] {
  const days = new Set(events.map(({ at }) => localTime(at).slice(0, 10)));
  const hasRetries = events.some(({ attempt }) => attempt > 1);
  return [
    { header: 'AT', value: ({ at }) => (days.size > 1 ? localTime(at) : timeOfDay(at)) },
    ...(hasRetries ? [{ header: 'ATTEMPT', value: attemptOf, align: 'right' as const }] : []),
    { header: 'EVENT', value: ({ type }) => type, style: ({ type }) => STATUS_STYLES[type] },
    {
      header: 'DETAILS',
      value: (event) => (isBeginning(event) ? '' : eventDetails(event)),
      minWidth: 20,
      isOptional: true,
    },
  ];
}

/** Its attempt, which has a column, is all there is to say. */
function isBeginning({ type }: JobEventView): boolean {
  return type === 'pulling' || type === 'starting';
}

function attemptOf({ attempt }: JobEventView): string {
  return String(attempt);
}

/** What happened, in the node's words. Why an attempt before failed is told once, when it did. */
export function eventDetails({ type, attempt, message, reason, exit_code: exitCode }: JobEventView): string {
  const text = message ?? reason ?? '';
  switch (type) {
    case 'pulling':
    case 'starting':
      return attempt > 1 ? `attempt ${attempt}` : '';
    case 'running':
    case 'stopping':
    case 'pending':
    case 'cancelled':
    case 'removed':
      return text;
    case 'complete':
    case 'failed':
      return withExitCode(text, exitCode);
  }
}

/** The code in front of what the node says, unless that names it already. */
export function withExitCode(text: string, exitCode: number | undefined): string {
  if (exitCode === undefined || text.includes(`code ${exitCode}`)) return text;
  return text === '' ? `exit ${exitCode}` : `exit ${exitCode}: ${text}`;
}

/** The events of several jobs. */
export function eventListColumns(
  ids: ReadonlyMap<string, string>,
  events: readonly JobEventView[],
): readonly Column<JobEventView>[] {
  const [at, ...others] = historyColumns(events);
  const nodes = shortNodeIds(events.flatMap(({ owner }) => owner ?? []));
  return [
    { header: 'ID', value: ({ id }) => id },
    ...(at === undefined ? [] : [at]),
    { header: 'JOB', value: ({ job_id }) => ids.get(job_id) ?? job_id },
    { header: 'NODE', value: ({ owner = '' }) => nodes.get(owner) ?? '', isOptional: true },
    ...others,
  ];
}

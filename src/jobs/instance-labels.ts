import type { JobId, NodeId } from '../kernel/ids.ts';
import { isJobId } from '../kernel/ids.ts';
import { OWNER_LABEL } from '../runtime/owner-label.ts';

/** What proves that a container is ours, and whose. */
export interface InstanceMark {
  /** Of which cluster its owner was a member when it was made. Proves nothing: a node may join another, or change the key. */
  readonly cluster: string;
  readonly owner: NodeId;
  readonly job: JobId;
  readonly attempt: number;
  /** Keyed fingerprint of the spec; says whether a container was made from the spec the store holds. */
  readonly spec: string;
}

const CLUSTER = 'container-manager.cluster';
const JOB = 'container-manager.job';
const ATTEMPT = 'container-manager.attempt';
const SPEC = 'container-manager.spec';

export function labelsOf(mark: InstanceMark): Record<string, string> {
  return {
    [CLUSTER]: mark.cluster,
    [OWNER_LABEL]: mark.owner,
    [JOB]: mark.job,
    [ATTEMPT]: String(mark.attempt),
    [SPEC]: mark.spec,
  };
}

/** The label that every container of this node carries. */
export function ownerLabels(owner: NodeId): Record<string, string> {
  return { [OWNER_LABEL]: owner };
}

/** Undefined when the labels do not make a whole mark. */
export function markOf(labels: Readonly<Record<string, string>>): InstanceMark | undefined {
  const { [CLUSTER]: cluster, [OWNER_LABEL]: owner, [JOB]: job, [ATTEMPT]: attempt, [SPEC]: spec } = labels;
  if (cluster === undefined || owner === undefined || job === undefined || spec === undefined)
    return undefined;
  if (!isJobId(job) || attempt === undefined || !/^[1-9]\d{0,5}$/.test(attempt)) return undefined;
  return { cluster, owner: owner as NodeId, job, attempt: Number(attempt), spec };
}

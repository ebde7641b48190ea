import type { Clock } from '../kernel/clock.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import type { PullProgress, RuntimeDriver } from '../runtime/driver.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { EngineGate } from './engine-gate.ts';
import type { InstanceMark } from './instance-labels.ts';
import type { Job } from './job.ts';
import type { JobLog } from './job-log.ts';
import type { JobDefaults } from './plan.ts';
import { canonicalJson } from '../kernel/canonical-json.ts';

/** What the parts that carry a job through its life work with. */
export interface JobContext {
  readonly driver: RuntimeDriver;
  readonly gate: EngineGate;
  readonly log: JobLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly box: SecretBox;
  readonly cluster: string;
  readonly owner: NodeId;
  readonly defaults: JobDefaults;
  /** How long a container without a probe must stay up before it counts as running. */
  readonly settleMs: number;
  /** Progress of the pulls under way, by job. Its entries go with the pull. */
  readonly pulls: Map<Job['id'], PullProgress>;
}

/** A spec never changes once it is read, and is asked for when it is accepted and at every attempt. */
const specHashes = new WeakMap<Job['spec'], { readonly box: SecretBox; readonly hash: string }>();

/** Keyed, so that a label or a row does not let anybody try guesses at a spec's secrets. */
export function specHashOf(box: SecretBox, spec: Job['spec']): string {
  const known = specHashes.get(spec);
  if (known?.box === box) return known.hash;
  const hash = box.fingerprint(canonicalJson(spec));
  specHashes.set(spec, { box, hash });
  return hash;
}

export function instanceMark(context: JobContext, job: Job): InstanceMark {
  return {
    cluster: context.cluster,
    owner: context.owner,
    job: job.id,
    attempt: job.attempt,
    spec: specHashOf(context.box, job.spec),
  };
}

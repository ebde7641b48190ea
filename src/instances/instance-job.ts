import { createHash } from 'node:crypto';
import { canonicalJson } from '../kernel/canonical-json.ts';
import type { Job } from '../jobs/job.ts';
import { type JobRequest, type JobSpec, jobSpecSchema, RESERVED_LABEL_PREFIX } from '../jobs/spec.ts';
import { reachOf } from '../runtime/reach.ts';
import type { Upstream } from './instances.ts';
import type { InstanceTemplate, Sharing } from './template.ts';

/** Who the jobs of instances are asked for by. No token can have this name. */
export const INSTANCE_CALLER = 'front-door';

const CONTROLLER = `${RESERVED_LABEL_PREFIX}controller`;
const VERSION = `${RESERVED_LABEL_PREFIX}controller-version`;
const SHARING = `${RESERVED_LABEL_PREFIX}sharing`;
const IMAGE_ID = `${RESERVED_LABEL_PREFIX}controller-image`;
const PORT = `${RESERVED_LABEL_PREFIX}controller-port`;

/** Before whatever nobody waits for at the other end of a line. */
const PRIORITY = 100;
/** One that has ended is removed when its connections are gone; this is for those that nobody was left to remove. */
const KEPT_AFTER_END_MS = 600_000;

/** The job that makes an instance: one like any other, that nobody but this node can ask for. */
export function instanceRequest(template: InstanceTemplate): JobRequest {
  const { name, version, image, imageId, env, resources, port, probePort, hostPort, sharing } = template;
  const request = jobSpecSchema.parse({
    image,
    env,
    resources,
    ...(isName(name) && { name }),
    ...(hostPort > 0 && { ports: [{ container: port, host: hostPort }] }),
    // Whatever it is, it answers a port and computes.
    drop_capabilities: true,
    healthcheck: { tcp: probePort },
    timeouts: { queue: template.startTimeoutMs, start: template.startTimeoutMs },
    stop_timeout: template.stopTimeoutMs,
    // Whoever waits is told at once, and decides.
    retry: { attempts: 1 },
    priority: PRIORITY,
    ttl_after_finished: KEPT_AFTER_END_MS,
  });
  const labels = {
    [CONTROLLER]: name,
    [VERSION]: version,
    [SHARING]: sharing,
    [PORT]: String(port),
    ...(imageId !== undefined && { [IMAGE_ID]: imageId }),
  };
  return { ...request, labels: { ...request.labels, ...labels } };
}

/** How a job's instance is shared; undefined for one that is no instance of ours. */
export function sharingOf({ caller, spec }: Pick<Job, 'caller' | 'spec'>): Sharing | undefined {
  const sharing = spec.labels[SHARING];
  if (caller !== INSTANCE_CALLER) return undefined;
  return sharing === 'exclusive' || sharing === 'shared' ? sharing : undefined;
}

/**
 * Where a job's container is reached. Of a job that is no instance of ours at the port that is probed, or else published.
 */
export function upstreamOf({ instance, spec }: Pick<Job, 'instance' | 'spec'>): Upstream | undefined {
  const label = spec.labels[PORT];
  const port = label === undefined ? (spec.healthcheck?.tcp ?? spec.ports[0]?.container) : Number(label);
  return instance === undefined || port === undefined ? undefined : reachOf(instance, port);
}

/** What is wanted of an instance, worked out once: whoever waits is looked at again each time a place becomes free. */
export interface InstanceWish {
  readonly template: InstanceTemplate;
  readonly request: JobRequest;
  readonly kind: InstanceKind;
}

export function wishFor(template: InstanceTemplate): InstanceWish {
  const request = instanceRequest(template);
  return { template, request, kind: kindOf(request) };
}

/** What makes two instances the same for whoever connects. */
export interface InstanceKind {
  /** For this process alone: it is made of values that are secret. */
  readonly key: string;
  /** What the name of the image stood for, where that was known. */
  readonly imageId: string | undefined;
}

export function kindOf({ image, env, resources, healthcheck, ports, labels }: JobSpec): InstanceKind {
  const { [IMAGE_ID]: imageId, ...others } = labels;
  const kind = canonicalJson({ image, env, resources, healthcheck, ports, labels: others });
  return { key: createHash('sha256').update(kind).digest('base64'), imageId };
}

/** Whether an instance of the one kind will do for the other. One that was made before its image was validated does. */
export function isAsGoodAs(one: InstanceKind, other: InstanceKind): boolean {
  const isSameImage = one.imageId === other.imageId;
  return one.key === other.key && (isSameImage || one.imageId === undefined || other.imageId === undefined);
}

const isName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(text);

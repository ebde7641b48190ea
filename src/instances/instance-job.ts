import { createHash } from 'node:crypto';
import { canonicalJson } from '../kernel/canonical-json.ts';
import type { Job } from '../jobs/job.ts';
import { type JobRequest, type JobSpec, jobSpecSchema, RESERVED_LABEL_PREFIX } from '../jobs/spec.ts';
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
    // Under the same name another image makes another kind.
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
 * Where a job's container is reached: at its own address, or where there is no way to that from here at the port that is published. Of
 * a job that is no instance of ours the port is the one that is probed, or else published.
 */
export function upstreamOf({ instance, spec }: Pick<Job, 'instance' | 'spec'>): Upstream | undefined {
  const label = spec.labels[PORT];
  const port = label === undefined ? (spec.healthcheck?.tcp ?? spec.ports[0]?.container) : Number(label);
  if (instance === undefined || port === undefined) return undefined;
  const published = instance.ports?.find((entry) => entry.containerPort === port && entry.protocol === 'tcp');
  if (process.platform !== 'linux' && published !== undefined)
    return { host: published.hostAddress, port: published.hostPort };
  return instance.address === undefined ? undefined : { host: instance.address, port };
}

/** What makes two instances the same for whoever connects. For this process alone: it is made of values that are secret. */
export function kindOf({ image, env, resources, healthcheck, ports, labels }: JobSpec): string {
  const kind = canonicalJson({ image, env, resources, healthcheck, ports, labels });
  return createHash('sha256').update(kind).digest('base64');
}

const isName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(text);

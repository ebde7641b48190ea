import { z } from 'zod';
import {
  cpu,
  duration,
  envName,
  FIELD_LIMITS,
  memory,
  pids,
  portNumber,
  record,
  text,
} from '../kernel/field-types.ts';
import { isNodeId } from '../kernel/peer-address.ts';

/**
 * What a job asks for, as a client writes it. `parse` gives the domain's own shape, units in the names; defaults that
 * the configuration decides stay `undefined` here and are filled in by `plan.ts`.
 */

/** Bounds of single fields, and of all of them together. */
export const SPEC_LIMITS = {
  /** As JSON: what is stored, and held in memory as long as the job has not ended. */
  totalBytes: 256 * 1024,
  argumentCount: 256,
  argumentLength: 32_768,
  envCount: 512,
  envValueLength: 32_768,
  labelCount: 64,
  labelLength: 1024,
  portCount: 32,
  nameLength: 128,
  keyLength: 256,
  maxAttempts: 100,
  ...FIELD_LIMITS,
} as const;

/** Where a job runs, beside the id of a node. */
const PLACEMENT_WORDS: ReadonlySet<string> = new Set(['local', 'any', 'every']);

/** Labels that begin so are ours; a job may not set them. */
export const RESERVED_LABEL_PREFIX = 'container-manager.';

const port = z.strictObject({
  container: portNumber,
  host: z.int().min(0).max(65_535).default(0),
  protocol: z.enum(['tcp', 'udp']).default('tcp'),
  address: text(64).default('127.0.0.1'),
});

const healthcheck = z
  .strictObject({
    /** A command run inside the container, without a shell. */
    test: z.array(text(SPEC_LIMITS.argumentLength)).min(1).max(64).optional(),
    /** Or a port of the container that accepts connections once it is ready. */
    tcp: portNumber.optional(),
    interval: duration.default(5_000),
    timeout: duration.default(5_000),
    start_period: duration.default(0),
    retries: z.int().min(1).max(100).default(3),
  })
  .refine((check) => (check.test === undefined) !== (check.tcp === undefined), {
    error: 'needs either test or tcp, and not both',
  });

const timeouts = z.strictObject({
  queue: duration.optional(),
  pull: duration.optional(),
  start: duration.optional(),
  run: duration.optional(),
});

const labelName = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?$/, { error: 'must be letters, digits, . _ / -' })
  .refine((name) => !name.startsWith(RESERVED_LABEL_PREFIX), {
    error: `must not begin with ${RESERVED_LABEL_PREFIX}`,
  });

const specFields = z.strictObject({
  image: text(512)
    .min(1)
    .describe('reference of the image, such as nginx or registry.example/team/app:1.2@sha256:…'),
  arguments: z
    .array(text(SPEC_LIMITS.argumentLength))
    .max(SPEC_LIMITS.argumentCount)
    .default([])
    .describe("arguments of the container's command"),
  env: record(envName, SPEC_LIMITS.envValueLength, SPEC_LIMITS.envCount)
    .default({})
    .describe('environment of the container; values are kept sealed and shown to nobody'),
  resources: z
    .strictObject({
      cpu: cpu.optional(),
      memory: memory.optional(),
      pids: pids.optional(),
    })
    .default({})
    .describe("cpu in cores, memory as 512m or bytes, pids as a count; the node's defaults otherwise"),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, { error: 'must be 1 to 128 letters, digits, . _ -' })
    .optional()
    .describe("a name for people; need not be unique, and is not the container's name"),
  entrypoint: z
    .array(text(SPEC_LIMITS.argumentLength))
    .min(1)
    .max(64)
    .optional()
    .describe("command of the container instead of the image's own"),
  labels: record(labelName, SPEC_LIMITS.labelLength, SPEC_LIMITS.labelCount)
    .default({})
    .describe('labels of the container; container-manager.* is ours'),
  ports: z
    .array(port)
    .max(SPEC_LIMITS.portCount)
    .default([])
    .describe('container ports to publish on a host address; host 0 or none takes a free port'),
  working_dir: text(4096)
    .regex(/^\//, { error: 'must be an absolute path' })
    .optional()
    .describe('absolute path of the working directory'),
  user: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64})?$/, { error: 'must be user or user:group' })
    .optional()
    .describe('user or user:group'),
  drop_capabilities: z
    .boolean()
    .optional()
    .describe('true: not even the capabilities that root has by default in a container'),
  read_only: z.boolean().optional().describe('true: its files cannot be written, but for a /tmp in memory'),
  network: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, { error: 'must be the name of a network' })
    .optional()
    .describe('a network that policy.networks allows, or none'),
  restart: z
    .strictObject({
      policy: z.enum(['no', 'on-failure', 'always']).default('no'),
      max_attempts: z.int().min(1).max(1_000_000).default(10),
    })
    .default({ policy: 'no', max_attempts: 10 })
    .describe('what the node does when the container exits after it ran: no, on-failure or always'),
  stop_signal: z
    .string()
    .regex(/^(SIG[A-Z0-9+-]{2,10}|[1-9][0-9]?)$/, { error: 'must be a signal such as SIGTERM' })
    .optional()
    .describe('signal that asks the container to stop'),
  stop_timeout: duration.optional().describe('how long it may take before it is killed'),
  healthcheck: healthcheck
    .optional()
    .describe(
      'when the container counts as running: a command inside it, or a TCP port that accepts connections',
    ),
  pull: z.enum(['missing', 'always', 'never']).optional().describe('when the image is pulled'),
  retry: z
    .strictObject({
      attempts: z.int().min(1).max(SPEC_LIMITS.maxAttempts).optional(),
      backoff: duration.optional(),
    })
    .optional()
    .describe("attempts at deploying, and the pause before the second; the node's defaults otherwise"),
  timeouts: timeouts
    .default({})
    .describe('limits: waiting for a worker, pulling, becoming ready, running; 0 is none'),
  priority: z.int().min(-1000).max(1000).default(0).describe('higher ones first'),
  idempotency_key: text(SPEC_LIMITS.keyLength)
    .min(1)
    .optional()
    .describe('the same key and spec lead to the same job, however often it is sent'),
  ttl_after_finished: duration.optional().describe('removes the job so long after its end'),
  wait_ms: z
    .int()
    .min(0)
    .max(600_000)
    .optional()
    .describe('answer when the job runs or has ended, or after so many ms'),
  placement: z
    .string()
    .refine((text) => PLACEMENT_WORDS.has(text) || isNodeId(text), {
      error: 'must be local, any, every or the id of a node',
    })
    .optional()
    .describe(
      'where it runs: local (this node), any (the node best placed), every (a copy on each node), or the id of a node',
    ),
});

/** `ContainerService.Create`'s parameters: snake case, human units. */
export const jobSpecSchema = specFields.superRefine((request, context) => {
  const bytes = Buffer.byteLength(JSON.stringify(request));
  if (bytes <= SPEC_LIMITS.totalBytes) return;
  const message = `must be at most ${SPEC_LIMITS.totalBytes} bytes in all, as JSON; it is ${bytes}`;
  context.addIssue({ code: 'custom', message });
});

/** A Create's parameters once read: the spec, and what concerns only this one call. */
export type JobRequest = z.output<typeof jobSpecSchema>;

/** What a job asks for, for good. Durations in ms, memory in bytes (the field names are the client's own). */
export type JobSpec = Omit<JobRequest, 'idempotency_key' | 'wait_ms' | 'placement'>;

import { z } from 'zod';
import { isJobId } from '../kernel/ids.ts';
import { JOB_STATES, MAX_CHILDREN, type JobState } from './job.ts';
import { SPEC_LIMITS } from './spec.ts';

/**
 * A job on its way to other nodes, version 1, as its reader checks it. Fields that are not known here come from a newer
 * node and are left out. What is written is in `record.ts`.
 */

/** Version of the message. Another is refused: a change that older nodes can live with adds a field instead. */
export const RECORD_VERSION = 1;

/** Longest sentence about how a job went that leaves its owner, characters. */
export const MAX_MESSAGE_LENGTH = 1_024;
export const MAX_CALLER_LENGTH = 128;

/** The end of the year 9999: anything later cannot be written as RFC 3339. */
const MAX_WALL_MS = 253_402_300_799_999;

const text = (maxLength: number) => z.string().max(maxLength);
const count = z.int().min(0);
const time = z.int().min(0).max(MAX_WALL_MS);
const duration = z.int().min(0).max(SPEC_LIMITS.maxDurationMs);
const portNumber = z.int().min(0).max(65_535);
const protocol = z.enum(['tcp', 'udp']);
const port = z.object({ container: portNumber, host: portNumber, protocol, address: text(64) });

const node = z.string().regex(/^[A-Za-z0-9]{1,128}$/);
const state = z.enum(Object.keys(JOB_STATES) as [JobState, ...JobState[]]);

const words = z.array(text(SPEC_LIMITS.argumentLength)).max(SPEC_LIMITS.argumentCount);

const spec = z.object({
  image: text(512),
  arguments: words.default([]),
  /** Names alone. */
  env: z.array(text(256)).max(SPEC_LIMITS.envCount).default([]),
  resources: z
    .object({
      cpu: z.number().min(0).max(SPEC_LIMITS.maxCpus).exactOptional(),
      memory: count.exactOptional(),
      pids: count.exactOptional(),
    })
    .default({}),
  name: text(SPEC_LIMITS.nameLength).exactOptional(),
  entrypoint: words.exactOptional(),
  labels: z.record(text(255), text(SPEC_LIMITS.labelLength)).default({}),
  ports: z.array(port).max(SPEC_LIMITS.portCount).default([]),
  working_dir: text(4_096).exactOptional(),
  user: text(129).exactOptional(),
  drop_capabilities: z.boolean().exactOptional(),
  read_only: z.boolean().exactOptional(),
  network: text(128).exactOptional(),
  restart: z
    .object({ policy: z.enum(['no', 'on-failure', 'always']), max_attempts: count })
    .default({ policy: 'no', max_attempts: 10 }),
  stop_signal: text(16).exactOptional(),
  stop_timeout: duration.exactOptional(),
  healthcheck: z
    .object({
      test: words.exactOptional(),
      tcp: portNumber.exactOptional(),
      interval: duration,
      timeout: duration,
      start_period: duration,
      retries: count,
    })
    .exactOptional(),
  pull: z.enum(['missing', 'always', 'never']).exactOptional(),
  retry: z.object({ attempts: count.exactOptional(), backoff: duration.exactOptional() }).exactOptional(),
  timeouts: z
    .object({
      queue: duration.exactOptional(),
      pull: duration.exactOptional(),
      start: duration.exactOptional(),
      run: duration.exactOptional(),
    })
    .default({}),
  priority: z.int().min(-1_000).max(1_000).default(0),
  ttl_after_finished: duration.exactOptional(),
});

const instance = z.object({
  id: text(256),
  started: time.exactOptional(),
  address: text(128).exactOptional(),
  ports: z.array(port).max(1_024).exactOptional(),
});

const outcome = z.object({
  /** A newer node may have reasons that are not known here; they are shown as they are. */
  reason: z.string().regex(/^[a-z][a-z0-9_]{0,63}$/),
  message: text(MAX_MESSAGE_LENGTH),
  exit_code: z.int().exactOptional(),
  signal: text(64).exactOptional(),
  oom_killed: z.boolean().exactOptional(),
  duplicate_of: node.exactOptional(),
  retryable: z.boolean(),
});

export const recordSchema = z.object({
  v: z.literal(RECORD_VERSION),
  id: z.string().refine(isJobId),
  owner: node,
  epoch: count,
  seq: count,
  state,
  desire: z.enum(['run', 'stop', 'cancel']),
  attempt: z.int().min(1),
  restarts: count,
  caller: text(MAX_CALLER_LENGTH),
  /** Whether it has an idempotency key, which is the caller's alone. */
  keyed: z.literal(true).exactOptional(),
  instance: instance.exactOptional(),
  outcome: outcome.exactOptional(),
  created: time,
  updated: time,
  running: time.exactOptional(),
  finished: time.exactOptional(),
  not_before: time.exactOptional(),
  stop_grace: duration.exactOptional(),
  spec,
  parent: z.string().refine(isJobId).exactOptional(),
  children: z
    .array(z.object({ node, state, delivered: z.boolean() }))
    .max(MAX_CHILDREN)
    .exactOptional(),
  /** Some of the spec was left out, to keep the record small. */
  abridged: z.literal(true).exactOptional(),
});

/** What a writer writes; readers fill in the defaults. */
export type RecordMessage = z.input<typeof recordSchema>;

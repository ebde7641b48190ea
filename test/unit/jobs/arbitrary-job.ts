import fc from 'fast-check';
import { newJobId, type InstanceId, type NodeId } from '../../../src/kernel/ids.ts';
import { JOB_REASONS, JOB_STATES, type Job, type JobReason, type JobState } from '../../../src/jobs/job.ts';
import type { JobSpec } from '../../../src/jobs/spec.ts';

/** Any job, within the bounds of what a client may ask for, and with texts that need care: quotes, NUL, half characters. */
const text = (maxLength: number) => fc.string({ unit: 'binary', maxLength });
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,20}$/);
const duration = fc.integer({ min: 0, max: 86_400_000 });
const wallMs = fc.integer({ min: 0, max: 4_102_444_800_000 });
const portNumber = fc.integer({ min: 1, max: 65_535 });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const hostPort = {
  protocol: fc.constantFrom('tcp' as const, 'udp' as const),
};

const healthcheck = fc.record(
  {
    test: fc.array(text(50), { minLength: 1, maxLength: 4 }),
    interval: duration,
    timeout: duration,
    start_period: duration,
    retries: fc.integer({ min: 1, max: 100 }),
  },
  { noNullPrototype: true },
);

export const anySpec = fc.record(
  {
    image: fc.constantFrom('nginx', 'registry.example/team/app:1.2'),
    arguments: fc.array(text(200), { maxLength: 5 }),
    env: fc.dictionary(fc.stringMatching(/^[^=\0]{1,20}$/), text(50), { maxKeys: 5, noNullPrototype: true }),
    resources: fc.record(
      { cpu: fc.double({ min: 0.01, max: 64, noNaN: true }), memory: fc.integer({ min: 6_291_456 }) },
      { requiredKeys: [], noNullPrototype: true },
    ),
    name,
    entrypoint: fc.array(text(50), { minLength: 1, maxLength: 3 }),
    labels: fc.dictionary(name, text(50), { maxKeys: 5, noNullPrototype: true }),
    ports: fc.array(
      fc.record(
        { container: portNumber, host: portNumber, address: fc.constant('127.0.0.1'), ...hostPort },
        { noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
    working_dir: text(100).map((path) => `/${path}`),
    drop_capabilities: fc.boolean(),
    read_only: fc.boolean(),
    restart: fc.record(
      {
        policy: fc.constantFrom('no' as const, 'on-failure' as const, 'always' as const),
        max_attempts: fc.integer({ min: 1, max: 1_000_000 }),
      },
      { noNullPrototype: true },
    ),
    healthcheck,
    timeouts: fc.record({ queue: duration, run: duration }, { requiredKeys: [], noNullPrototype: true }),
    priority: fc.integer({ min: -1_000, max: 1_000 }),
    ttl_after_finished: duration,
  },
  {
    requiredKeys: [
      'image',
      'arguments',
      'env',
      'resources',
      'labels',
      'ports',
      'restart',
      'timeouts',
      'priority',
    ],
    noNullPrototype: true,
  },
) as fc.Arbitrary<JobSpec>;

const anyState = fc.constantFrom(...(Object.keys(JOB_STATES) as JobState[]));
const anyNode = fc.constantFrom('12D3KooWTest' as NodeId, '12D3KooWFar' as NodeId);

/** What only jobs have that are copies, or have copies. */
const kinship = fc.record(
  {
    parent: wallMs.map((atMs) => newJobId(atMs)),
    children: fc.array(
      fc.record({ node: anyNode, state: anyState, isDelivered: fc.boolean() }, { noNullPrototype: true }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const anySingleJob: fc.Arbitrary<Job> = fc.record(
  {
    id: wallMs.map((atMs) => newJobId(atMs)),
    owner: fc.constant('12D3KooWTest' as NodeId),
    epoch: fc.nat(),
    seq: fc.nat(),
    spec: anySpec,
    caller: text(64),
    idempotencyKey: maybe(text(64)),
    state: anyState,
    desire: fc.constantFrom('run' as const, 'stop' as const, 'cancel' as const),
    attempt: fc.integer({ min: 1, max: 100 }),
    restarts: fc.nat(),
    instance: maybe(
      fc.record(
        {
          id: fc.constant('f'.repeat(64) as InstanceId),
          startedAtMs: wallMs,
          address: fc.constant('172.17.0.2'),
          ports: fc.array(
            fc.record(
              {
                containerPort: portNumber,
                hostPort: portNumber,
                hostAddress: fc.constant('::1'),
                ...hostPort,
              },
              { noNullPrototype: true },
            ),
            { maxLength: 3 },
          ),
        },
        { requiredKeys: ['id'], noNullPrototype: true },
      ),
    ),
    outcome: maybe(
      fc.record(
        {
          reason: fc.constantFrom(...(Object.keys(JOB_REASONS) as JobReason[])),
          message: text(1_024).filter((message) => message.length <= 1_024),
          exitCode: fc.integer({ min: 0, max: 255 }),
          signal: fc.constant('SIGKILL'),
          oomKilled: fc.boolean(),
          duplicateOf: anyNode,
          retryable: fc.boolean(),
        },
        { requiredKeys: ['reason', 'message', 'retryable'], noNullPrototype: true },
      ),
    ),
    createdAtMs: wallMs,
    updatedAtMs: wallMs,
    runningAtMs: maybe(wallMs),
    finishedAtMs: maybe(wallMs),
    stopGraceMs: maybe(duration),
    notBeforeMs: maybe(wallMs),
  },
  { noNullPrototype: true },
);

export const anyJob: fc.Arbitrary<Job> = fc
  .tuple(anySingleJob, kinship)
  .map(([job, kin]) => ({ ...job, ...kin }));

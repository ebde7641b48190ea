import { CodedError } from '../kernel/errors.ts';
import type { InstanceId, JobId, NodeId } from '../kernel/ids.ts';
import { envOfNames, HIDDEN } from './hidden.ts';
import type { Job, JobChild, JobInstance, JobOutcome, JobReason } from './job.ts';
import {
  MAX_CALLER_LENGTH,
  MAX_MESSAGE_LENGTH,
  RECORD_VERSION,
  recordSchema,
  type RecordMessage,
} from './record-shape.ts';
import type { JobSpec } from './spec.ts';

/** Longest record: so that a batch of them fits into one message. */
export const MAX_RECORD_BYTES = 16 * 1024;

/** Each code with what it means. */
export const RECORD_ERROR_CODES = {
  record_invalid: 'these bytes are no record of a job',
  record_version: 'the record is of a version that is not known here',
} as const;
export type RecordErrorCode = keyof typeof RECORD_ERROR_CODES;

export class RecordError extends CodedError<RecordErrorCode> {
  override readonly name = 'RecordError';
}

/**
 * A job as other nodes may know it: no value of its environment, no idempotency key. The same job always gives the same
 * bytes, at most `maxBytes`: what takes most room is left out, and that is told.
 */
export function encodeRecord(job: Job, maxBytes = MAX_RECORD_BYTES): Uint8Array {
  let message = messageOf(job);
  let bytes = Buffer.from(JSON.stringify(message));
  for (const cut of CUTS) {
    if (bytes.length <= maxBytes) break;
    message = { ...cut(message), abridged: true };
    bytes = Buffer.from(JSON.stringify(message));
  }
  return bytes;
}

/** What `encodeRecord` wrote, here or on another node. Fails with a `RecordError`, whatever the bytes are. */
export function decodeRecord(bytes: Uint8Array, maxBytes = MAX_RECORD_BYTES): Job {
  if (bytes.length > maxBytes)
    throw new RecordError('record_invalid', `${bytes.length} bytes, at most ${maxBytes} are allowed`);
  const parsed = recordSchema.safeParse(jsonOf(bytes));
  if (parsed.success) return jobOf(parsed.data);
  const [issue] = parsed.error.issues;
  const field = (issue?.path ?? []).join('.').slice(0, MAX_FIELD_LENGTH);
  const code = field === 'v' ? 'record_version' : 'record_invalid';
  throw new RecordError(code, `field ${JSON.stringify(field)}: ${issue?.code ?? 'invalid'}`, {
    details: { field },
  });
}

/** A path may hold names that somebody else made up. */
const MAX_FIELD_LENGTH = 128;

const utf8 = new TextDecoder('utf-8', { fatal: true });

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new RecordError('record_invalid', 'no JSON text', { cause: error });
  }
}

/** From what takes most room and is asked for least, to what is needed most. After all of them any job is small enough. */
const CUTS: readonly ((message: RecordMessage) => RecordMessage)[] = [
  withoutSpecField('arguments'),
  withoutSpecField('labels'),
  withoutSpecField('entrypoint'),
  withoutSpecField('env'),
  ({ spec: { healthcheck, ...spec }, ...message }) => ({
    ...message,
    spec: { ...spec, ...(healthcheck && { healthcheck: withoutCommand(healthcheck) }) },
  }),
  withoutSpecField('working_dir'),
  withoutSpecField('ports'),
  // Still a parent, of whom only its owner can tell more.
  ({ children, ...message }) => ({ ...message, ...(children && { children: [] }) }),
  ({ instance, ...message }) => ({ ...message, ...(instance && { instance: { id: instance.id } }) }),
  ({ outcome, ...message }) => ({ ...message, ...(outcome && { outcome: { ...outcome, message: '' } }) }),
];

function withoutSpecField(field: keyof JobSpec): (message: RecordMessage) => RecordMessage {
  return ({ spec, ...message }) => {
    const { [field]: _left, ...kept } = spec;
    return { ...message, spec: kept as RecordMessage['spec'] };
  };
}

type Healthcheck = NonNullable<RecordMessage['spec']['healthcheck']>;

function withoutCommand({ test, ...healthcheck }: Healthcheck): Healthcheck {
  return test === undefined ? healthcheck : { ...healthcheck, test: [] };
}

/** Every member is named, so that a field that is new to a job does not leave its owner by itself. */
function messageOf(job: Job): RecordMessage {
  const { instance, outcome } = job;
  return {
    v: RECORD_VERSION,
    id: job.id,
    owner: job.owner,
    epoch: job.epoch,
    seq: job.seq,
    state: job.state,
    desire: job.desire,
    attempt: job.attempt,
    restarts: job.restarts,
    caller: shortened(job.caller, MAX_CALLER_LENGTH),
    ...(job.idempotencyKey !== undefined && { keyed: true }),
    ...(instance !== undefined && { instance: instanceMessage(instance) }),
    ...(outcome !== undefined && { outcome: outcomeMessage(outcome) }),
    created: job.createdAtMs,
    updated: job.updatedAtMs,
    ...(job.runningAtMs !== undefined && { running: job.runningAtMs }),
    ...(job.finishedAtMs !== undefined && { finished: job.finishedAtMs }),
    ...(job.notBeforeMs !== undefined && { not_before: job.notBeforeMs }),
    ...(job.stopGraceMs !== undefined && { stop_grace: job.stopGraceMs }),
    ...(job.parent !== undefined && { parent: job.parent }),
    ...(job.children !== undefined && { children: job.children.map(childMessage) }),
    spec: specMessage(job.spec),
    ...(job.isAbridged === true && { abridged: true }),
  };
}

function childMessage({
  node,
  state,
  isDelivered,
}: JobChild): NonNullable<RecordMessage['children']>[number] {
  return { node, state, delivered: isDelivered };
}

/** `undefined` members are not written. A field that is new to the spec does not compile until it is decided upon here. */
function specMessage(spec: JobSpec): RecordMessage['spec'] {
  const env = Object.keys(spec.env);
  const { policy, max_attempts: maxAttempts } = spec.restart;
  const message: Record<keyof JobSpec, unknown> = {
    image: spec.image,
    arguments: unlessEmpty(spec.arguments),
    env: unlessEmpty(env),
    resources: unlessEmpty(spec.resources),
    name: spec.name,
    entrypoint: spec.entrypoint,
    labels: unlessEmpty(spec.labels),
    ports: unlessEmpty(spec.ports),
    working_dir: spec.working_dir,
    user: spec.user,
    drop_capabilities: spec.drop_capabilities,
    read_only: spec.read_only,
    network: spec.network,
    restart: policy === 'no' && maxAttempts === 10 ? undefined : spec.restart,
    stop_signal: spec.stop_signal,
    stop_timeout: spec.stop_timeout,
    healthcheck: spec.healthcheck,
    pull: spec.pull,
    retry: spec.retry,
    timeouts: unlessEmpty(spec.timeouts),
    priority: spec.priority === 0 ? undefined : spec.priority,
    ttl_after_finished: spec.ttl_after_finished,
  };
  return message as RecordMessage['spec'];
}

function unlessEmpty<T extends object>(value: T): T | undefined {
  for (const _key in value) return value;
  return undefined;
}

function instanceMessage(instance: JobInstance): NonNullable<RecordMessage['instance']> {
  const { id, startedAtMs, address, ports } = instance;
  return {
    id,
    ...(startedAtMs !== undefined && { started: startedAtMs }),
    ...(address !== undefined && { address }),
    ...(ports !== undefined && {
      ports: ports.map(({ containerPort, hostPort, protocol, hostAddress }) => ({
        container: containerPort,
        host: hostPort,
        protocol,
        address: hostAddress,
      })),
    }),
  };
}

function outcomeMessage(outcome: JobOutcome): NonNullable<RecordMessage['outcome']> {
  const { reason, message, exitCode, signal, oomKilled, duplicateOf, retryable } = outcome;
  return {
    reason,
    message: shortened(message, MAX_MESSAGE_LENGTH),
    ...(exitCode !== undefined && { exit_code: exitCode }),
    ...(signal !== undefined && { signal }),
    ...(oomKilled !== undefined && { oom_killed: oomKilled }),
    ...(duplicateOf !== undefined && { duplicate_of: duplicateOf }),
    retryable,
  };
}

/** The text, or its beginning with a sign that there was more. Half a character is not left behind. */
export function shortened(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).toWellFormed()}…`;
}

function jobOf(message: ReturnType<typeof recordSchema.parse>): Job {
  const { instance, outcome, spec } = message;
  return {
    id: message.id as JobId,
    owner: message.owner as NodeId,
    epoch: message.epoch,
    seq: message.seq,
    spec: { ...spec, env: envOfNames(spec.env) },
    caller: message.caller,
    idempotencyKey: message.keyed === true ? HIDDEN : undefined,
    state: message.state,
    desire: message.desire,
    attempt: message.attempt,
    restarts: message.restarts,
    instance: instance === undefined ? undefined : instanceOf(instance),
    outcome: outcome === undefined ? undefined : outcomeOf(outcome),
    createdAtMs: message.created,
    updatedAtMs: message.updated,
    runningAtMs: message.running,
    finishedAtMs: message.finished,
    stopGraceMs: message.stop_grace,
    notBeforeMs: message.not_before,
    ...(message.parent !== undefined && { parent: message.parent as JobId }),
    ...(message.children !== undefined && {
      children: message.children.map(({ node, state, delivered }) => ({
        node: node as NodeId,
        state,
        isDelivered: delivered,
      })),
    }),
    ...(message.abridged === true && { isAbridged: true }),
  };
}

function instanceOf(message: NonNullable<RecordMessage['instance']>): JobInstance {
  const { id, started, address, ports } = message;
  return {
    id: id as InstanceId,
    ...(started !== undefined && { startedAtMs: started }),
    ...(address !== undefined && { address }),
    ...(ports !== undefined && {
      ports: ports.map((port) => ({
        containerPort: port.container,
        protocol: port.protocol,
        hostPort: port.host,
        hostAddress: port.address,
      })),
    }),
  };
}

function outcomeOf(message: NonNullable<RecordMessage['outcome']>): JobOutcome {
  const { reason, message: sentence, exit_code: exitCode, signal } = message;
  const { oom_killed: oomKilled, duplicate_of: duplicateOf } = message;
  return {
    reason: reason as JobReason,
    message: sentence,
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
    ...(oomKilled !== undefined && { oomKilled }),
    ...(duplicateOf !== undefined && { duplicateOf: duplicateOf as NodeId }),
    retryable: message.retryable,
  };
}

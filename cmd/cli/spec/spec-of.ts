import type { CreateParams } from '../../../src/api/wire.ts';
import type { Environment } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import { commandWords, shellCommand } from './command-words.ts';
import { readEnvironment } from './environment.ts';
import { readLabels } from './labels.ts';
import { parsePublish } from './publish.ts';
import type { SpecOptions } from './spec-options.ts';

/** The parameters of a Create. What was not given is left out: its default is the node's. */
export function specOf(
  image: string,
  args: readonly string[],
  options: SpecOptions,
  env: Environment,
): CreateParams {
  return compact<CreateParams>({
    image,
    arguments: args.length === 0 ? undefined : [...args],
    env: unlessEmpty(readEnvironment(options, env)),
    resources: unlessEmpty(compact({ cpu: options.cpu, memory: options.memory, pids: options.pids })),
    name: options.name,
    entrypoint:
      options.entrypoint === undefined ? undefined : commandWords(options.entrypoint, '--entrypoint'),
    labels: unlessEmpty(readLabels(options.label ?? [])),
    ports: options.publish?.map(parsePublish),
    working_dir: options.workdir,
    user: options.user,
    drop_capabilities: options.dropCapabilities,
    read_only: options.readOnly,
    network: options.network,
    restart: options.restart === undefined ? undefined : restartOf(options.restart),
    stop_signal: options.stopSignal,
    stop_timeout: options.stopTimeout,
    healthcheck: healthcheckOf(options),
    pull: options.pull,
    retry: retryOf(options),
    timeouts: unlessEmpty(timeoutsOf(options)),
    priority: options.priority,
    idempotency_key: options.idempotencyKey,
    ttl_after_finished: options.ttl,
    placement: options.on,
  });
}

/** Without the members that are `undefined`. */
function compact<T extends object>(value: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}

function unlessEmpty<T extends object>(value: T): T | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

function timeoutsOf(options: SpecOptions): NonNullable<CreateParams['timeouts']> {
  const { queueTimeout: queue, pullTimeout: pull, startTimeout: start, runTimeout: run } = options;
  return compact<NonNullable<CreateParams['timeouts']>>({ queue, pull, start, run });
}

function restartOf(text: string): NonNullable<CreateParams['restart']> {
  const match = /^(no|on-failure|always)(?::(\d{1,7}))?$/.exec(text);
  if (match === null || (match[1] === 'no' && match[2] !== undefined)) {
    throw new UsageError(`--restart ${JSON.stringify(text)} must be no, on-failure[:MAX] or always[:MAX]`);
  }
  const policy = match[1] as 'no' | 'on-failure' | 'always';
  return match[2] === undefined ? { policy } : { policy, max_attempts: Number(match[2]) };
}

function retryOf({ retry, retryBackoff }: SpecOptions): CreateParams['retry'] | undefined {
  if (retry === undefined && retryBackoff !== undefined) {
    throw new UsageError('--retry-backoff needs --retry: how often it is to be tried');
  }
  return retry === undefined ? undefined : compact({ attempts: retry, backoff: retryBackoff });
}

function healthcheckOf(options: SpecOptions): CreateParams['healthcheck'] | undefined {
  const { healthCmd, healthTcp } = options;
  const details = compact({
    interval: options.healthInterval,
    timeout: options.healthTimeout,
    start_period: options.healthStartPeriod,
    retries: options.healthRetries,
  });
  if (healthCmd === undefined && healthTcp === undefined) {
    if (Object.keys(details).length === 0) return undefined;
    throw new UsageError('a probe is needed for its details: give --health-cmd or --health-tcp');
  }
  const probe =
    healthCmd === undefined ? { tcp: healthTcp } : { test: shellCommand(healthCmd, '--health-cmd') };
  return compact<NonNullable<CreateParams['healthcheck']>>({ ...probe, ...details });
}

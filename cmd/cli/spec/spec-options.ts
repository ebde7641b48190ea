import { Option, type Command } from 'commander';
import { collect, durationText, wholeNumber } from '../option-values.ts';

/** What `run` takes for the fields of a spec. The node knows the defaults and the limits. */
export interface SpecOptions {
  readonly name?: string;
  readonly env?: readonly string[];
  readonly envFile?: readonly string[];
  readonly memory?: string;
  readonly cpu?: string;
  readonly pids?: number;
  readonly label?: readonly string[];
  readonly publish?: readonly string[];
  readonly entrypoint?: string;
  readonly workdir?: string;
  readonly user?: string;
  readonly dropCapabilities?: boolean;
  readonly readOnly?: boolean;
  readonly network?: string;
  readonly restart?: string;
  readonly stopSignal?: string;
  readonly stopTimeout?: string;
  readonly healthCmd?: string;
  readonly healthTcp?: number;
  readonly healthInterval?: string;
  readonly healthTimeout?: string;
  readonly healthStartPeriod?: string;
  readonly healthRetries?: number;
  readonly pull?: 'missing' | 'always' | 'never';
  readonly retry?: number;
  readonly retryBackoff?: string;
  readonly queueTimeout?: string;
  readonly pullTimeout?: string;
  readonly startTimeout?: string;
  readonly runTimeout?: string;
  readonly priority?: number;
  readonly idempotencyKey?: string;
  readonly ttl?: string;
  readonly on?: string;
}

export function addSpecOptions(command: Command): void {
  for (const [heading, options] of optionGroups()) {
    for (const option of options) command.addOption(option.helpGroup(heading));
  }
}

const option = (flags: string, text: string): Option => new Option(flags, text);
const duration = (flags: string, text: string): Option => option(flags, text).argParser(durationText);

function optionGroups(): readonly (readonly [heading: string, options: readonly Option[]])[] {
  return [
    ['The container:', containerOptions()],
    ['Limits and network:', resourceOptions()],
    ['Readiness:', readinessOptions()],
    ['The job:', jobOptions()],
  ];
}

function containerOptions(): readonly Option[] {
  return [
    option('-n, --name <name>', 'a name for the job; several may have the same'),
    option('-e, --env <name=value>', 'set a variable; NAME alone takes the value it has here').argParser(
      collect,
    ),
    option('--env-file <file>', 'a file of variables, one NAME=VALUE a line').argParser(collect),
    option('-l, --label <name=value>', 'a label').argParser(collect),
    option('--entrypoint <command>', "instead of the image's own: one word, or a JSON array"),
    option('--workdir <path>', 'the working directory'),
    option('-u, --user <user>', 'user or user:group'),
    option('--pull <when>', 'when the image is fetched').choices(['missing', 'always', 'never']),
    option('--stop-signal <signal>', 'the signal that asks it to stop, such as SIGTERM'),
    duration('--stop-timeout <duration>', 'how long it may take to stop before it is killed'),
    option('--restart <policy>', 'start it again when it exits: no, on-failure[:MAX] or always[:MAX]'),
  ];
}

function resourceOptions(): readonly Option[] {
  return [
    option('-m, --memory <size>', 'most memory, such as 512m or 1g'),
    option('--cpu <count>', 'most CPUs, such as 0.5 or 2'),
    option('--pids <count>', 'most processes and threads').argParser(wholeNumber(1)),
    option('-p, --publish <port>', 'publish a port: [ADDRESS:][HOST:]CONTAINER[/udp]').argParser(collect),
    option('--network <name>', 'the network to attach it to, or none'),
    option('--drop-capabilities', 'take all capabilities from it, those of root included'),
    option('--read-only', 'its files cannot be written, but for a /tmp in memory'),
  ];
}

const MAX_PORT = 65_535;

function readinessOptions(): readonly Option[] {
  return [
    option(
      '--health-cmd <command>',
      'ready when this succeeds in it: a shell command, or a JSON array',
    ).conflicts('healthTcp'),
    option('--health-tcp <port>', 'ready when this port accepts connections').argParser(
      wholeNumber(1, MAX_PORT),
    ),
    duration('--health-interval <duration>', 'time between two probes'),
    duration('--health-timeout <duration>', 'how long a probe may take'),
    duration('--health-start-period <duration>', 'how long failed probes do not count'),
    option('--health-retries <count>', 'failed probes that make it unhealthy').argParser(wholeNumber(1)),
  ];
}

function jobOptions(): readonly Option[] {
  return [
    option('--retry <attempts>', 'how often deploying it is tried').argParser(wholeNumber(1)),
    duration('--retry-backoff <duration>', 'pause before the second attempt; it doubles'),
    duration('--queue-timeout <duration>', 'how long it may wait for a worker'),
    duration('--pull-timeout <duration>', 'how long the pull may take'),
    duration('--start-timeout <duration>', 'how long it may take to become ready'),
    duration('--run-timeout <duration>', 'how long it may run'),
    option('--priority <number>', 'jobs of a higher priority begin first').argParser(
      wholeNumber(-1000, 1000),
    ),
    option('--idempotency-key <key>', 'the same key and spec give the same job, however often they are sent'),
    duration('--ttl <duration>', 'remove the job this long after its end'),
    option(
      '--on <place>',
      'where it runs: local, any, every, or a node by its id, an end of that, or its name',
    ),
  ];
}

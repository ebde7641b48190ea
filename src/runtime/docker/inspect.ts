import { constants } from 'node:os';
import { z } from 'zod';
import type { InstanceId } from '../../kernel/ids.ts';
import type {
  ImageInfo,
  InstanceExit,
  InstanceState,
  InstanceSummary,
  InstanceView,
  PortPlan,
} from '../driver.ts';
import { decode } from './decode.ts';

const STATES: Readonly<Record<string, InstanceState>> = {
  created: 'created',
  running: 'running',
  restarting: 'running',
  paused: 'paused',
  exited: 'exited',
  // On its way out, or stuck there: either way it does not run any more.
  removing: 'exited',
  dead: 'exited',
};
const state = z.string().transform((text, context): InstanceState => {
  const known = Object.hasOwn(STATES, text) ? STATES[text] : undefined;
  if (known !== undefined) return known;
  context.addIssue({ code: 'custom', message: 'is no known state' });
  return z.NEVER;
});

/** The engine writes the year 1 for what has not happened. */
const time = z.string().transform((text, context) => {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) {
    context.addIssue({ code: 'custom', message: 'is no time' });
    return z.NEVER;
  }
  return ms > 0 ? ms : undefined;
});

/** Of a container or an image. */
export const labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

const bindings = z.record(
  z.string(),
  z.array(z.object({ HostIp: z.string().default(''), HostPort: z.string() })).nullable(),
);

const inspectReply = z.object({
  Id: z.string().min(1),
  Name: z.string(),
  Created: time,
  Image: z.string(),
  Config: z.object({ Labels: labels }),
  State: z.object({
    Status: state,
    StartedAt: time,
    FinishedAt: time,
    ExitCode: z.number().int(),
    OOMKilled: z.boolean().default(false),
    Error: z.string().default(''),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
  NetworkSettings: z
    .object({
      Networks: z.record(z.string(), z.object({ IPAddress: z.string().default('') }).nullable()).nullish(),
      Ports: bindings.nullish(),
    })
    .nullish(),
});
type InspectReply = z.infer<typeof inspectReply>;

export function decodeInspect(reply: unknown): InstanceView {
  const container = decode(inspectReply, reply, 'inspect');
  const { Status, StartedAt } = container.State;
  const networks = Object.values(container.NetworkSettings?.Networks ?? {});
  const address = networks.find((network) => network !== null && network.IPAddress !== '')?.IPAddress;
  return {
    id: container.Id as InstanceId,
    name: withoutSlash(container.Name),
    labels: container.Config.Labels,
    state: Status,
    createdAtMs: container.Created ?? 0,
    imageId: container.Image,
    startedAtMs: StartedAt,
    exit: Status === 'exited' ? exitOf(container.State) : undefined,
    health: healthOf(container.State.Health?.Status),
    address,
    ports: portsOf(container.NetworkSettings?.Ports ?? {}),
  };
}

function exitOf(containerState: InspectReply['State']): InstanceExit {
  return {
    exitCode: containerState.ExitCode,
    signal: signalOf(containerState.ExitCode),
    oomKilled: containerState.OOMKilled,
    finishedAtMs: containerState.FinishedAt ?? 0,
    message: containerState.Error === '' ? undefined : containerState.Error,
  };
}

const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);
const FIRST_SIGNAL_EXIT_CODE = 128;

/** By the shells' convention: 128 and the signal's number. */
export function signalOf(exitCode: number): string | undefined {
  return SIGNAL_NAMES.get(exitCode - FIRST_SIGNAL_EXIT_CODE);
}

function healthOf(status: string | undefined): InstanceView['health'] {
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : 'none';
}

function portsOf(published: z.infer<typeof bindings>): PortPlan[] {
  return Object.entries(published).flatMap(([key, hosts]) => {
    const match = /^(\d{1,5})\/(tcp|udp)$/.exec(key);
    if (match === null || hosts === null) return [];
    const protocol = match[2] as PortPlan['protocol'];
    const containerPort = Number(match[1]);
    return hosts.map(({ HostIp, HostPort }) => ({
      containerPort,
      protocol,
      hostPort: Number(HostPort),
      hostAddress: HostIp,
    }));
  });
}

function withoutSlash(name: string): string {
  return name.startsWith('/') ? name.slice(1) : name;
}

const listReply = z.array(
  z.object({
    Id: z.string().min(1),
    Names: z.array(z.string()).nullish(),
    Labels: labels,
    State: state,
    /** Seconds. */
    Created: z.number(),
  }),
);

export function decodeList(reply: unknown): InstanceSummary[] {
  return decode(listReply, reply, 'list').map((container) => ({
    id: container.Id as InstanceId,
    // While it is being removed it may have lost its name already.
    name: withoutSlash(container.Names?.[0] ?? ''),
    labels: container.Labels,
    state: container.State,
    createdAtMs: container.Created * 1000,
  }));
}

const imageReply = z.object({
  Id: z.string().min(1),
  RepoDigests: z.array(z.string()).nullish(),
  Size: z.number().default(0),
  Architecture: z.string().default('unknown'),
  Config: z.object({ Labels: labels, WorkingDir: z.string().nullish() }).nullish(),
});

/** An image can have come from several registries: `repository` says whose digest is meant. */
export function decodeImage(reply: unknown, repository: string): ImageInfo {
  const image = decode(imageReply, reply, 'image');
  const digest = image.RepoDigests?.find((text) => text.startsWith(`${repository}@`));
  return {
    id: image.Id,
    digest,
    sizeBytes: image.Size,
    labels: image.Config?.Labels ?? {},
    architecture: image.Architecture,
    workingDir: image.Config?.WorkingDir || '/',
  };
}

export function decodeCreated(reply: unknown): InstanceId {
  return decode(z.object({ id: z.string().min(1) }), reply, 'create').id as InstanceId;
}

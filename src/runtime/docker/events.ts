import { z } from 'zod';
import type { InstanceId } from '../../kernel/ids.ts';
import type { RuntimeEvent } from '../driver.ts';
import { decode } from './decode.ts';

const TYPES: ReadonlyMap<string, RuntimeEvent['type']> = new Map([
  ['create', 'created'],
  ['start', 'started'],
  ['die', 'exited'],
  ['destroy', 'removed'],
  ['pause', 'paused'],
  ['unpause', 'unpaused'],
  ['health_status', 'health'],
]);

const eventLine = z.object({
  Type: z.string().optional(),
  Action: z.string(),
  Actor: z.object({ ID: z.string().min(1), Attributes: z.record(z.string(), z.string()).default({}) }),
  time: z.number().optional(),
  timeNano: z.number().optional(),
});

/** What the engine adds to a container's labels in an event. */
const ADDED_ATTRIBUTES: ReadonlySet<string> = new Set([
  'image',
  'name',
  'exitCode',
  'signal',
  'execID',
  'execDuration',
]);

/** The query that selects what we follow. */
export function eventFilters(labels: Readonly<Record<string, string>>): Record<string, string[]> {
  return { type: ['container'], event: [...TYPES.keys()], label: labelFilters(labels) };
}

export function labelFilters(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`);
}

/** The event in a line of the stream; `undefined` for what is not ours to follow. */
export function decodeEvent(
  line: unknown,
  labels: Readonly<Record<string, string>>,
): RuntimeEvent | undefined {
  const { Type, Action, Actor, time, timeNano } = decode(eventLine, line, 'event');
  const type = TYPES.get(Action.split(':', 1)[0] ?? '');
  if (type === undefined || (Type !== undefined && Type !== 'container')) return undefined;
  const own = Object.fromEntries(
    Object.entries(Actor.Attributes).filter(([name]) => !ADDED_ATTRIBUTES.has(name)),
  );
  if (!Object.entries(labels).every(([name, value]) => own[name] === value)) return undefined;
  const atMs = timeNano === undefined ? (time ?? 0) * 1000 : Math.floor(timeNano / 1e6);
  return { type, id: Actor.ID as InstanceId, labels: own, atMs };
}

import { z } from 'zod';
import type { ImageEvent, ImageSummary } from '../driver.ts';
import { decode } from './decode.ts';
import { labels } from './inspect.ts';

/** The engine writes this for an image without a name. */
const NO_NAME = '<none>';

const names = z
  .array(z.string())
  .nullish()
  .transform((found) => (found ?? []).filter((name) => !name.includes(NO_NAME)));

const listReply = z.array(
  z.object({
    Id: z.string().min(1),
    RepoTags: names,
    RepoDigests: names,
    Labels: labels,
    /** Seconds. */
    Created: z.number(),
  }),
);

/** Without the architecture, which the list does not tell. */
export function decodeImages(reply: unknown): Omit<ImageSummary, 'architecture'>[] {
  return decode(listReply, reply, 'list of images').map((image) => ({
    id: image.Id,
    tags: image.RepoTags,
    digests: image.RepoDigests,
    labels: image.Labels,
    createdAtMs: image.Created * 1000,
  }));
}

const TYPES: ReadonlyMap<string, ImageEvent['type']> = new Map([
  ['import', 'added'],
  ['load', 'added'],
  ['pull', 'added'],
  ['delete', 'removed'],
  ['tag', 'tagged'],
  ['untag', 'untagged'],
]);

/** The query that selects what we follow. */
export const IMAGE_EVENT_FILTERS: Readonly<Record<string, string[]>> = {
  type: ['image'],
  event: [...TYPES.keys()],
};

const eventLine = z.object({
  Type: z.string().optional(),
  Action: z.string(),
  Actor: z.object({ ID: z.string().min(1) }),
  time: z.number().optional(),
  timeNano: z.number().optional(),
});

/** The event in a line of the stream; `undefined` for what is not ours to follow. */
export function decodeImageEvent(line: unknown): ImageEvent | undefined {
  const { Type, Action, Actor, time, timeNano } = decode(eventLine, line, 'event');
  const type = TYPES.get(Action);
  if (type === undefined || (Type !== undefined && Type !== 'image')) return undefined;
  const atMs = timeNano === undefined ? (time ?? 0) * 1000 : Math.floor(timeNano / 1e6);
  return { type, image: Actor.ID, atMs };
}

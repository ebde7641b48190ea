import type { IncomingMessage } from 'node:http';
import { posix } from 'node:path';
import { extract, type Header } from 'tar-stream';
import { z } from 'zod';
import type { InstanceFile } from '../driver.ts';
import { EngineStatusError, UnreadableReplyError } from './reply-errors.ts';

/** Head of an archive's reply: what the path is, as base64 of JSON. */
const STAT_HEADER = 'x-docker-container-path-stat';
const MAX_STAT_LENGTH = 64 * 1024;
const pathStat = z.object({ linkTarget: z.string().max(4096).optional() });

/** What stands under a path: a link says where it leads. */
export type ArchivedFile = InstanceFile | { readonly kind: 'link'; readonly target: string };

/**
 * The file that an archive begins with. What follows it, such as what a directory holds, is not read. Nothing is
 * unpacked: names in the archive mean nothing here.
 */
export async function readArchive(
  response: IncomingMessage,
  path: string,
  maxBytes: number,
): Promise<ArchivedFile> {
  const unpacking = extract();
  try {
    response.on('error', (error) => unpacking.destroy(error));
    response.on('close', () => {
      if (!response.complete) unpacking.destroy(new UnreadableReplyError('the archive breaks off'));
    });
    response.pipe(unpacking);
    for await (const entry of unpacking) {
      const { type, size = 0, linkname } = entry.header;
      if (type === 'symlink') {
        return { kind: 'link', target: resolvedTarget(response) ?? joined(path, linkname) };
      }
      if (!isRegular(type)) return { kind: 'not_a_file' };
      if (size > maxBytes) return { kind: 'too_large', bytes: size };
      return { kind: 'file', data: await readWhole(entry, size) };
    }
    throw new UnreadableReplyError('the archive is empty');
  } finally {
    response.destroy();
    unpacking.destroy();
  }
}

function isRegular(type: Header['type']): boolean {
  return type === 'file' || type === 'contiguous-file';
}

async function readWhole(entry: AsyncIterable<unknown>, size: number): Promise<Buffer> {
  const data = Buffer.allocUnsafe(size);
  let length = 0;
  for await (const chunk of entry as AsyncIterable<Buffer>) {
    if (length + chunk.length > size) throw new UnreadableReplyError('the archive holds more than it says');
    length += chunk.copy(data, length);
  }
  if (length < size) throw new UnreadableReplyError('the archive breaks off');
  return data;
}

/** Where the engine says that a link leads in the end, through whatever directories. Not every engine says so. */
function resolvedTarget(response: IncomingMessage): string | undefined {
  const header = response.headers[STAT_HEADER];
  if (typeof header !== 'string' || header.length > MAX_STAT_LENGTH) return undefined;
  try {
    const { linkTarget } = pathStat.parse(JSON.parse(Buffer.from(header, 'base64').toString()));
    return linkTarget === '' ? undefined : linkTarget;
  } catch {
    return undefined;
  }
}

/** Where a link leads by its own words. `..` at the root stays there, as everywhere. */
function joined(path: string, linkname: string | null | undefined): string {
  return posix.resolve('/', posix.dirname(path), linkname ?? '');
}

/** Whether an engine's refusal says that nothing is there; it says some of these causes by its messages only. */
export function isMissing(error: unknown): boolean {
  if (!(error instanceof EngineStatusError)) return false;
  if (error.status === 404) return !/no such container/i.test(error.engineMessage);
  return /not a directory|too many (?:links|levels)/i.test(error.engineMessage);
}

import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { type Header, pack } from 'tar-stream';
import { type ArchivedFile, isMissing, readArchive } from '../../../../src/runtime/docker/archive.ts';
import { EngineStatusError } from '../../../../src/runtime/docker/reply-errors.ts';

type Entry = readonly [header: Partial<Header> & { name: string }, content?: string];

async function tar(...entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [header, content] of entries) archive.entry(header as Header, content ?? '');
  archive.finalize();
  return buffer(archive);
}

/** A reply of the engine, in pieces of so many bytes. */
function reply(archive: Buffer, headers: Record<string, string> = {}, pieceBytes = 100): IncomingMessage {
  const pieces = Array.from({ length: Math.ceil(archive.length / pieceBytes) }, (_, index) =>
    archive.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  return Object.assign(Readable.from(pieces, { objectMode: false }), {
    headers,
    complete: true,
  }) as unknown as IncomingMessage;
}

const read = (archive: Buffer, headers?: Record<string, string>, path = '/a/b/file'): Promise<ArchivedFile> =>
  readArchive(reply(archive, headers), path, 1000);
const statOf = (value: unknown): Record<string, string> => ({
  'x-docker-container-path-stat': Buffer.from(JSON.stringify(value)).toString('base64'),
});

describe('the archive of a path', () => {
  it('holds a file, whatever follows it', async () => {
    const archive = await tar([{ name: 'file' }, 'x'.repeat(700)], [{ name: '../../etc/passwd' }, 'other']);
    expect(await read(archive)).toEqual({ kind: 'file', data: Buffer.from('x'.repeat(700)) });
  });

  it('says how large a file is that is not read', async () => {
    expect(await read(await tar([{ name: 'file' }, 'x'.repeat(1001)]))).toEqual({
      kind: 'too_large',
      bytes: 1001,
    });
  });

  it.each(['directory', 'fifo', 'character-device', 'block-device', 'link'] as const)(
    'holds no file where it holds a %s',
    async (type) => {
      expect(await read(await tar([{ name: 'x', type, linkname: 'y' }]))).toEqual({ kind: 'not_a_file' });
    },
  );

  it('says where a link leads: as the engine says, which knows the directories', async () => {
    const archive = await tar([{ name: 'x', type: 'symlink', linkname: '../near' }]);
    expect(await read(archive, statOf({ linkTarget: '/really/there' }))).toEqual({
      kind: 'link',
      target: '/really/there',
    });
  });

  it.each([
    ['near', '/a/b/near'],
    ['../near', '/a/near'],
    ['/far', '/far'],
    ['../../../../far', '/far'],
  ])('says where the link %s leads, when the engine does not', async (linkname, target) => {
    const archive = await tar([{ name: 'x', type: 'symlink', linkname }]);
    const heads = [{}, statOf({ linkTarget: '' }), statOf(null), { 'x-docker-container-path-stat': '%%%' }];
    for (const head of heads)
      expect(await read(archive, head as Record<string, string>)).toEqual({ kind: 'link', target });
  });

  it('that breaks off anywhere is an error, never part of a file', async () => {
    const archive = await tar([{ name: 'file' }, 'x'.repeat(600)]);
    for (let length = 0; length < 1112; length += 31) {
      await expect(read(archive.subarray(0, length)), `${length}`).rejects.toThrow(/./);
    }
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(2048)],
    ['anything', Buffer.alloc(2048, 'x')],
  ])('that holds %s is an error', async (_what, archive) => {
    await expect(read(archive)).rejects.toThrow(/./);
  });
});

describe('a refusal', () => {
  it.each([
    [404, 'Could not find the file /x in container y', true],
    [404, 'No such container: y', false],
    [500, 'lstat /var/lib/x: not a directory', true],
    [500, 'evalSymlinksInScope: too many links in /x', true],
    [500, 'disk on fire', false],
  ])('with %i %s: nothing is there: %s', (status, message, expected) => {
    expect(isMissing(new EngineStatusError(status, message))).toBe(expected);
  });
});

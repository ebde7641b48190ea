import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { FilePeerBook } from '../../../src/peers/file-peer-book.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { BookPages, MAX_BOOK_ADDRESSES, MAX_BOOK_PEERS } from '../../../src/peers/peer-book.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { PATIENCE } from '../../support/patience.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

function newPeer(): NodeId {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  return peerIdOf(Buffer.from(x ?? '', 'base64url'));
}

describe('a book of peers', () => {
  it('remembers so many, and forgets who was seen longest ago', () => {
    const pages = new BookPages();
    const peers = Array.from({ length: MAX_BOOK_PEERS + 1 }, (_, index) => `peer-${index}` as NodeId);
    for (const [index, peer] of peers.entries()) {
      pages.saw(peer, ['/one'], index);
      pages.saw(peers[0] as NodeId, [], index);
    }
    const known = pages.entries().map(({ peer }) => peer);
    expect(known).toHaveLength(MAX_BOOK_PEERS);
    expect(known[0]).toBe(peers[0]);
    expect(known).not.toContain(peers[1]);
  });

  it('keeps so many addresses of each, the newest in front, and none that is too long', () => {
    const pages = new BookPages();
    const peer = 'peer' as NodeId;
    for (let index = 0; index < 20; index++) pages.saw(peer, [`/address-${index}`], index);
    pages.saw(peer, ['/address-15', 'x'.repeat(1_000)], 21);
    const [entry] = pages.entries();
    expect(entry?.addresses).toHaveLength(MAX_BOOK_ADDRESSES);
    expect(entry?.addresses.slice(0, 3)).toEqual(['/address-15', '/address-19', '/address-18']);
  });
});

describe('a book in a file', () => {
  let directory: string;
  let file: string;
  let clock: SteppedClock;
  let lines: string[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cm-book-'));
    file = join(directory, 'peers.json');
    clock = new SteppedClock();
    lines = [];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const open = (): FilePeerBook =>
    FilePeerBook.open(file, {
      clock,
      logger: createLogger({ level: 'debug', destination: { write: (line) => void lines.push(line) } }),
    });

  it('is as it was when it is opened again, and read by its owner only', async () => {
    const [a, b, c] = [newPeer(), newPeer(), newPeer()];
    const book = open();
    book.saw(a, ['/ip4/10.0.0.1/tcp/1']);
    book.saw(b, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.2/tcp/2']);
    book.saw(c, []);
    book.forget(c);
    await book[Symbol.asyncDispose]();
    expect(open().entries()).toEqual(book.entries());
    expect(
      open()
        .entries()
        .map(({ peer }) => peer)
        .toSorted(),
    ).toEqual([a, b].toSorted());
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.draft`)).toBe(false);
  });

  it('is written once for many changes, a while after the first', async () => {
    const book = open();
    for (let index = 0; index < 100; index++) book.saw(newPeer(), ['/one']);
    expect(clock.pending).toBe(1);
    await clock.advance(999);
    expect(existsSync(file)).toBe(false);
    await clock.advance(1);
    await expect.poll(() => existsSync(file), PATIENCE).toBe(true);
    await book[Symbol.asyncDispose]();
    expect(open().entries()).toHaveLength(100);
  });

  it.each([
    ['half of it is missing', '{"version":1,"peers":[{"peer":"12D3'],
    ['it is empty', ''],
    ['it is not JSON', 'peers: []'],
    ['it is JSON, but no book', '[1,2,3]'],
    ['it is null', 'null'],
    ['it is from the future', '{"version":2,"peers":[]}'],
    ['somebody is no peer', '{"version":1,"peers":[{"peer":"me","addresses":[],"lastSeenMs":1}]}'],
    ['an entry is null', '{"version":1,"peers":[null]}'],
  ])('is begun anew when %s, and the old one is kept aside', (_what, text) => {
    writeFileSync(file, text);
    expect(open().entries()).toEqual([]);
    expect(readFileSync(`${file}.broken`, 'utf8')).toBe(text);
    expect(lines.join('')).toContain('the list of known peers cannot be read');
  });

  it('that cannot be written is told of, and still serves', async () => {
    file = join(directory, 'no-such-folder', 'peers.json');
    const book = open();
    const peer = newPeer();
    book.saw(peer, ['/one']);
    await book[Symbol.asyncDispose]();
    expect(book.entries()).toMatchObject([{ peer }]);
    expect(lines.join('')).toContain('peers could not be written down');
  });
});

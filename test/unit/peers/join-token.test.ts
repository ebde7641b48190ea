import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { peerIdOf } from '../../../src/peers/identity.ts';
import {
  decodeJoinToken,
  encodeJoinToken,
  JoinTokenError,
  type JoinToken,
  MAX_JOIN_TOKEN_ADDRESSES,
  MAX_JOIN_TOKEN_LENGTH,
} from '../../../src/peers/join-token.ts';

const NODE = peerIdOf(Buffer.alloc(32, 9));
const OTHER = peerIdOf(Buffer.alloc(32, 8));
const TOKEN: JoinToken = {
  key: Buffer.alloc(32, 7),
  nodeId: NODE,
  addresses: ['/ip4/192.0.2.7/tcp/4001', '/dns4/node.example/tcp/4001', '/ip6/2001:db8::7/tcp/4001'],
};

function refusalOf(text: string): JoinTokenError {
  try {
    decodeJoinToken(text);
  } catch (error) {
    if (error instanceof JoinTokenError) return error;
    throw error;
  }
  throw new Error('the token was taken');
}

describe('a join token', () => {
  it('is one word, and says again what it was made of', () => {
    const text = encodeJoinToken(TOKEN);
    expect(text).toMatch(/^cm1(?:\.[A-Za-z0-9_-]+){3}$/);
    expect(decodeJoinToken(text)).toEqual(TOKEN);
  });

  it('is written like this by every release', () => {
    const golden =
      'cm1.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBweZ5WrX.MTJEM0tvb1dBUmRxMnFtb1dhd1hmaGt6WkhnY1BnMmhna3dUNkdGcnpHTXZ1UVpIY3dkSg8Xmoc.L2lwNC8xOTIuMC4yLjcvdGNwLzQwMDEWT_vX';
    expect(decodeJoinToken(golden)).toEqual({ ...TOKEN, addresses: TOKEN.addresses.slice(0, 1) });
    expect(encodeJoinToken({ ...TOKEN, addresses: TOKEN.addresses.slice(0, 1) })).toBe(golden);
  });

  it('says the id of the node once, whatever the addresses say', () => {
    const addresses = TOKEN.addresses.map((address) => `${address}/p2p/${NODE}`);
    expect(encodeJoinToken({ ...TOKEN, addresses })).toBe(encodeJoinToken(TOKEN));
  });

  it.each([
    [[], '1 to 16 are expected'],
    [
      Array.from({ length: MAX_JOIN_TOKEN_ADDRESSES + 1 }, () => '/ip4/192.0.2.7/tcp/1'),
      '1 to 16 are expected',
    ],
    [['192.0.2.7:4001'], 'addresses such as /ip4/192.0.2.7/tcp/4001 are expected'],
    [['/ip4/192.0.2.7/tcp/1\n/ip4/192.0.2.7/tcp/2'], 'addresses such as'],
    [[`/ip4/192.0.2.7/tcp/4001/p2p/${OTHER}`], 'addresses such as'],
  ])('is not made of the addresses %j', (addresses, message) => {
    expect(() => encodeJoinToken({ ...TOKEN, addresses })).toThrow(message);
  });

  it('is refused with any one character wrong, and the message says in which part', () => {
    const text = encodeJoinToken(TOKEN);
    const names = ['version', 'key', 'node', 'addresses'];
    for (const [index, character] of [...text].entries()) {
      if (character === '.') continue;
      const wrong = `${text.slice(0, index)}${character === 'A' ? 'B' : 'A'}${text.slice(index + 1)}`;
      const part = names[text.slice(0, index).split('.').length - 1];
      const { details, message } = refusalOf(wrong);
      expect(details).toEqual({ part });
      if (part !== 'version') expect(message).toContain(`is mistyped in its ${part} part`);
    }
  });

  it.each<[string, (parts: string[]) => string[], string]>([
    ['cut off', (parts) => parts.slice(0, 3), 'lacks its addresses part: copy all of it'],
    ['cut off early', (parts) => parts.slice(0, 1), 'lacks its key and node and addresses part'],
    ['pasted twice', (parts) => [...parts, ...parts], 'has something behind its last part'],
    [
      'with its parts in another order',
      ([v = '', a = '', b = '', c = '']) => [v, b, a, c],
      'is mistyped in its key part',
    ],
    ['with an empty part', ([v = '', , b = '', c = '']) => [v, '', b, c], 'is mistyped in its key part'],
    [
      'of a later version',
      ([, ...parts]) => ['cm2', ...parts],
      'is of version 2, which this node does not know',
    ],
    ['of something else', ([, ...parts]) => ['SWMTKN', ...parts], 'does not begin with cm1'],
    [
      'with what is no base64url',
      ([v = '', a = '', ...rest]) => [v, `${a}=`, ...rest],
      'is mistyped in its key part',
    ],
  ])('%s is refused', (_name, change, message) => {
    expect(refusalOf(change(encodeJoinToken(TOKEN).split('.')).join('.')).message).toContain(message);
  });

  it('that is right by its checksums and still no token is refused', () => {
    const [, , node, addresses] = encodeJoinToken(TOKEN).split('.');
    // The checksum of a key of no bytes cannot be told from an empty part.
    expect(refusalOf(`cm1.AAAAAA.${node}.${addresses}`).details).toEqual({ part: 'key' });
  });

  it('is bounded', () => {
    expect(refusalOf('x'.repeat(MAX_JOIN_TOKEN_LENGTH + 1)).message).toContain('longer than 8192 characters');
    const longest = Array.from(
      { length: 16 },
      (_, index) => `/dns4/${`${'a'.repeat(60)}.`.repeat(4)}${index}x/tcp/65535`,
    );
    expect(encodeJoinToken({ ...TOKEN, addresses: longest }).length).toBeLessThanOrEqual(
      MAX_JOIN_TOKEN_LENGTH,
    );
  });

  it('that is any text at all is refused with one kind of error, which never holds the text', () => {
    const parts = encodeJoinToken(TOKEN).split('.');
    const part = fc.oneof(
      fc.constantFrom(...parts),
      fc.string({ minLength: 12 }),
      fc.base64String({ minLength: 12 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (pieces) => {
        const text = pieces.join('.');
        fc.pre(text !== parts.join('.'));
        const { message } = refusalOf(text);
        for (const piece of pieces.filter(({ length }) => length >= 12)) expect(message).not.toContain(piece);
      }),
    );
  });
});

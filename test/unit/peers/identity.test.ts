import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadIdentity, peerIdOf } from '../../../src/peers/identity.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
});
const file = (name: string): string => join(directory, name);

describe('the identity', () => {
  it('stays the same, and has a peer id as libp2p writes it', () => {
    const first = loadIdentity(file('identity.key'));
    const second = loadIdentity(file('identity.key'));
    expect(first.nodeId).toMatch(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/);
    expect(second.nodeId).toBe(first.nodeId);
    expect(Buffer.from(second.seed).equals(first.seed)).toBe(true);
    expect(first.seed).toHaveLength(32);
  });

  it('is another one for another node', () => {
    expect(loadIdentity(file('a')).nodeId).not.toBe(loadIdentity(file('b')).nodeId);
  });

  it('follows the rule of the specification for its key', () => {
    // Public key of the test vector of RFC 8032, section 7.1, test 1.
    const publicKey = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');
    const id = peerIdOf(publicKey);
    expect(id).toMatch(/^12D3KooW/);
    expect(decodeBase58(id).toString('hex')).toBe(`0024080112${'20'}${publicKey.toString('hex')}`);
  });

  it('that is no Ed25519 key is refused', () => {
    writeFileSync(file('identity.key'), 'nonsense', { mode: 0o600 });
    expect(() => loadIdentity(file('identity.key'))).toThrow();
  });
});

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** Back from text to bytes; one leading zero byte for each leading 1. */
function decodeBase58(text: string): Buffer {
  const value = [...text].reduce((number, digit) => number * 58n + BigInt(ALPHABET.indexOf(digit)), 0n);
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  const hex = value.toString(16);
  return Buffer.from('00'.repeat(zeros) + (hex.length % 2 === 0 ? hex : `0${hex}`), 'hex');
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeReply } from '../../../src/peers/call-frames.ts';
import { decodeIntroductions } from '../../../src/peers/libp2p/introductions.ts';
import { decodeCard } from '../../../src/peers/node-card.ts';
import { ERROR, exchangesOfNow, INTRODUCED } from './golden/exchanges.ts';

/** As released versions write it; see `wire-compatibility.test.ts` for what that demands. */
const V1 = JSON.parse(
  readFileSync(join(import.meta.dirname, 'golden', 'exchanges-v1.json'), 'utf8'),
) as Record<keyof ReturnType<typeof exchangesOfNow>, string>;

const bytesOf = (name: keyof typeof V1): Uint8Array => Buffer.from(V1[name], 'base64');

describe('what nodes of version 1 tell each other beside their logs', () => {
  it('is written as it always was', () => {
    const now = Object.entries(exchangesOfNow()).map(([name, bytes]) => [
      name,
      Buffer.from(bytes).toString('base64'),
    ]);
    expect(Object.fromEntries(now)).toEqual(V1);
  });

  it('is read, where it answers a call', () => {
    expect(decodeReply(bytesOf('callData'))).toEqual({ kind: 'data', data: Buffer.from('{"result":1}') });
    const { code, message, details, retryable, retryAfterMs } = ERROR;
    expect(decodeReply(bytesOf('callError'))).toMatchObject({
      kind: 'error',
      error: { code, message, details, retryable, retryAfterMs },
    });
    expect(decodeReply(bytesOf('callEnd'))).toEqual({ kind: 'end' });
    expect(decodeReply(bytesOf('callAlive'))).toEqual({ kind: 'alive' });
  });

  it('is read, where it introduces peers', () => {
    expect(decodeIntroductions(bytesOf('introductions'))).toEqual(INTRODUCED);
  });

  it('is read, where it says who they are', () => {
    const host = { name: 'host', version: '1.2.3' };
    expect(decodeCard(bytesOf('card'))).toEqual({ ...host, isDraining: false });
    expect(decodeCard(bytesOf('drainingCard'))).toEqual({ ...host, isDraining: true });
  });
});

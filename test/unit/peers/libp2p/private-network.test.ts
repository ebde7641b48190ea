import type { ConnectionProtector, MessageStream, MessageStreamStatus } from '@libp2p/interface';
import { expect, it } from 'vitest';
import { BoundedProtector } from '../../../../src/peers/libp2p/private-network.ts';

/** Adds to each byte how many came before it: pieces in another order, or one that is left out, give something else. */
class FakeCipher {
  readonly sizes: number[] = [];
  finalized = 0;
  #count = 0;

  update(input: Uint8Array, output = new Uint8Array(input.length)): Uint8Array {
    if (this.finalized > 0) throw new TypeError('it is finalized');
    this.sizes.push(input.length);
    output.set(input.map((byte) => byte + this.#count++));
    return output;
  }

  finalize(): void {
    this.finalized += 1;
  }
}

async function protectedBy(status: MessageStreamStatus = 'open') {
  const ciphers = [new FakeCipher(), new FakeCipher()] as const;
  const inner: ConnectionProtector = {
    protect: async () => ({ inboundXor: ciphers[0], outboundXor: ciphers[1] }) as unknown as MessageStream,
  };
  const connection = Object.assign(new EventTarget(), { status });
  const stream = await new BoundedProtector(inner).protect(connection as unknown as MessageStream);
  const { inboundXor, outboundXor } = stream as unknown as Record<'inboundXor' | 'outboundXor', FakeCipher>;
  return { ciphers, connection, inboundXor, outboundXor };
}

it('what goes through a cipher goes in small pieces, and comes out as it would at once', async () => {
  const { ciphers, inboundXor, outboundXor } = await protectedBy();
  const input = Uint8Array.from({ length: 1_000_001 }, (_, index) => index);
  const expected = new FakeCipher().update(input);
  for (const cipher of [inboundXor, outboundXor]) {
    const [first, second] = [cipher.update(input.subarray(0, 7)), cipher.update(input.subarray(7))];
    expect(Buffer.concat([first, second]).equals(expected)).toBe(true);
  }
  for (const { sizes } of ciphers) expect(Math.max(...sizes)).toBeLessThanOrEqual(16 * 1024);
});

it('ciphers are given back once, when their connection ends, and not used after that', async () => {
  const { ciphers, connection, outboundXor } = await protectedBy();
  expect(ciphers.map(({ finalized }) => finalized)).toEqual([0, 0]);
  connection.dispatchEvent(new Event('close'));
  connection.dispatchEvent(new Event('close'));
  expect(ciphers.map(({ finalized }) => finalized)).toEqual([1, 1]);
  expect(outboundXor.update(Uint8Array.of(1, 2))).toHaveLength(2);
});

it.each<MessageStreamStatus>(['closed', 'aborted', 'reset'])(
  'ciphers of a connection that is %s by then are given back at once',
  async (status) => {
    const { ciphers } = await protectedBy(status);
    expect(ciphers.map(({ finalized }) => finalized)).toEqual([1, 1]);
  },
);

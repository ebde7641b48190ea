import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { disconArguments } from '../../support/discon/arguments.ts';
import {
  decodeFrame,
  type DisconFrame,
  DisconFrameError,
  encodeFrame,
  textOf,
  transferFrame,
  zeroEnded,
} from '../../support/discon/frames.ts';

/** The first call of the program that comes with the client. */
function stockCall(): DisconFrame {
  const { swap, fail, inFile, outName, msg } = disconArguments();
  return { swap, fail, inFile, outName, msg, fileContent: Buffer.alloc(0), serverFilePath: Buffer.alloc(0) };
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const frames: fc.Arbitrary<DisconFrame> = fc.record({
  swap: fc.float32Array({ maxLength: 40 }),
  fail: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  inFile: bytes,
  outName: bytes,
  msg: bytes,
  fileContent: bytes,
  serverFilePath: bytes,
});

describe('a frame between a client and a server of controllers', () => {
  it('of the stock call has 773 bytes and the header of 164, 25, 32 and 32', () => {
    const encoded = encodeFrame(stockCall());
    expect(encoded).toHaveLength(773);
    expect(encoded.subarray(0, 24).toString('hex')).toBe('a40000001900000020000000200000000000000000000000');
  });

  it('that carries a file is the golden one, byte for byte', () => {
    const encoded = encodeFrame(transferFrame('input_9441f2f2_extra.dat', Buffer.from('EXTRA')));
    expect(encoded).toHaveLength(65);
    expect(encoded.toString('hex')).toBe(
      '010000000100000001000000010000000500000019000000' +
        '0000000000000000' +
        '000000' +
        '4558545241' +
        '696e7075745f39343431663266325f65787472612e64617400',
    );
  });

  it('comes back as it was, whatever is in it', () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
      }),
    );
  });

  it('keeps the bits of numbers that are none', () => {
    const encoded = encodeFrame({ ...stockCall(), swap: new Float32Array(1) });
    encoded.writeUInt32LE(0x7f80_0001, 24);
    expect(encodeFrame(decodeFrame(encoded))).toEqual(encoded);
  });

  it('may be followed by other bytes, which do not count', () => {
    const frame = stockCall();
    expect(decodeFrame(Buffer.concat([encodeFrame(frame), Buffer.from('more')]))).toEqual(frame);
  });

  it('that is cut short anywhere is an error', () => {
    const encoded = encodeFrame(transferFrame('a', Buffer.from('b')));
    for (let length = 0; length < encoded.length; length += 1) {
      expect(() => decodeFrame(encoded.subarray(0, length)), `${length} bytes`).toThrow(DisconFrameError);
    }
  });

  it('that claims more than there can be is an error, and takes no memory for it', () => {
    expect(() => decodeFrame(Buffer.alloc(1000, 0xff))).toThrow(DisconFrameError);
  });

  it('ends its texts with a zero byte', () => {
    expect(zeroEnded('ab')).toEqual(Buffer.from([0x61, 0x62, 0]));
    expect(textOf(Buffer.from('ab\0cd\0'))).toBe('ab');
    expect(textOf(Buffer.from('ab'))).toBe('ab');
  });
});

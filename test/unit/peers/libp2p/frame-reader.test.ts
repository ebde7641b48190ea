import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, FrameReader } from '../../../../src/peers/libp2p/frame-reader.ts';
import { boundMs } from '../../../support/figure.ts';

const READ_AHEAD_BYTES = 256 * 1024;

describe('frames', () => {
  it('come out as they went in, however they are cut on the way', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 300 }),
        (frames, pieceBytes) => {
          const reader = new FrameReader(400);
          const bytes = Buffer.concat(frames.map(encodeFrame));
          const read: Uint8Array[] = [];
          for (let start = 0; start < bytes.length; start += pieceBytes) {
            reader.push(bytes.subarray(start, start + pieceBytes));
            for (let frame = reader.take(); frame !== undefined; frame = reader.take()) read.push(frame);
          }
          expect(read.map((frame) => [...frame])).toEqual(frames.map((frame) => [...frame]));
          expect(reader.isInsideFrame).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([0, 1, 127, 128, 16_383, 16_384, 300_000])('may be %i bytes long', (length) => {
    const reader = new FrameReader(300_000);
    const frame = randomBytes(length);
    reader.push(encodeFrame(frame));
    expect(Buffer.from(reader.take() ?? []).equals(frame)).toBe(true);
    expect(reader.take()).toBeUndefined();
  });

  it('are refused by their length alone, one byte beyond what is allowed', () => {
    const header = (length: number): Uint8Array => encodeFrame(new Uint8Array(length)).subarray(0, 2);
    new FrameReader(300).push(header(300));
    expect(() => new FrameReader(300).push(header(301))).toThrow('300 are allowed');
  });

  it('with a length that does not end are refused', () => {
    expect(() => new FrameReader(2 ** 40).push(Buffer.alloc(5, 0x80))).toThrow('are allowed');
    expect(() => new FrameReader(0).push(Buffer.alloc(10, 0x80))).toThrow('are allowed');
  });

  it('are full with enough at hand, but never without a whole one', () => {
    const reader = new FrameReader(4 * READ_AHEAD_BYTES);
    reader.push(encodeFrame(new Uint8Array(2 * READ_AHEAD_BYTES)).subarray(0, READ_AHEAD_BYTES + 10));
    expect(reader.isFull).toBe(false);
    // Three bytes of the length are among those that came.
    reader.push(new Uint8Array(READ_AHEAD_BYTES - 10 + 3));
    expect(reader.isFull).toBe(true);
    reader.take();
    expect(reader.isFull).toBe(false);
    expect(reader.isInsideFrame).toBe(false);
  });

  it('take no longer when they come byte by byte', () => {
    const frame = randomBytes(512 * 1024);
    const bytes = encodeFrame(frame);
    const reader = new FrameReader(frame.length);
    const startedMs = performance.now();
    for (let index = 0; index < bytes.length; index += 1) reader.push(bytes.subarray(index, index + 1));
    expect(frame.equals(reader.take() ?? new Uint8Array())).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(boundMs(2_000));
  });

  it('keep nothing but themselves in memory', () => {
    const reader = new FrameReader(100);
    reader.push(Buffer.concat([encodeFrame(Buffer.from('abc')), Buffer.alloc(99, 1)]));
    expect(reader.take()?.buffer.byteLength).toBe(3);
  });
});

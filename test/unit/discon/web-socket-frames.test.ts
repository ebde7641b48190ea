import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeWebSocketFrame,
  OPCODES,
  WebSocketFrameReader,
} from '../../support/discon/web-socket-frames.ts';

/** The examples of RFC 6455 section 5.7 that a server sends. */
const FROM_SERVER = Buffer.from('810548656c6c6f', 'hex');
const PIECES_FROM_SERVER = Buffer.from('010348656c80026c6f', 'hex');
/** And the one that a client sends. */
const FROM_CLIENT = Buffer.from('818537fa213d7f9f4d5158', 'hex');

describe('a frame of RFC 6455', () => {
  it('is written as in its examples', () => {
    const payload = Buffer.from('Hello');
    expect(encodeWebSocketFrame({ opcode: OPCODES.text, payload, isMasked: false })).toEqual(FROM_SERVER);
  });

  it('is read as in its examples', () => {
    const hello = { opcode: 1, payload: Buffer.from('Hello'), isFinal: true, reserved: 0 };
    const read = (data: Buffer): unknown => new WebSocketFrameReader().push(data);
    expect(read(FROM_SERVER)).toEqual([{ ...hello, isMasked: false }]);
    expect(read(FROM_CLIENT)).toEqual([{ ...hello, isMasked: true }]);
    expect(read(PIECES_FROM_SERVER)).toEqual([
      { ...hello, payload: Buffer.from('Hel'), isFinal: false, isMasked: false },
      { ...hello, opcode: 0, payload: Buffer.from('lo'), isMasked: false },
    ]);
  });

  it.each([
    [0, 6],
    [125, 6],
    [126, 8],
    [65_535, 8],
    [65_536, 14],
  ])('of %d bytes has a head of %d', (length, headBytes) => {
    const payload = Buffer.alloc(length, 7);
    const encoded = encodeWebSocketFrame({ opcode: OPCODES.binary, payload });
    expect(encoded).toHaveLength(headBytes + length);
    const [frame] = new WebSocketFrameReader().push(encoded);
    expect(frame?.payload.equals(payload)).toBe(true);
  });

  it('is read as it was written, however its bytes come', () => {
    const frames = fc.array(
      fc.record({
        opcode: fc.integer({ min: 0, max: 15 }),
        payload: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
        isFinal: fc.boolean(),
        isMasked: fc.boolean(),
        reserved: fc.integer({ min: 0, max: 7 }),
      }),
      { maxLength: 5 },
    );
    const chunkLengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 });
    fc.assert(
      fc.property(frames, chunkLengths, (sent, lengths) => {
        const bytes = Buffer.concat(sent.map(encodeWebSocketFrame));
        const reader = new WebSocketFrameReader();
        const received: unknown[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = lengths[turn % lengths.length] ?? 1;
          received.push(...reader.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(received).toEqual(sent);
      }),
    );
  });
});

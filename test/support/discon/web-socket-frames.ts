import { randomBytes } from 'node:crypto';

/** RFC 6455 section 5.2. */
export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export type Opcode = (typeof OPCODES)[keyof typeof OPCODES];

const SHORT_LENGTH = 125;
const LENGTH_IN_2_BYTES = 126;
const LENGTH_IN_8_BYTES = 127;
const MAX_2_BYTE_LENGTH = 0xffff;
const MASK_BYTES = 4;

/** A frame to be sent; nothing in it is checked, so that tests can break every rule. */
export interface FrameToSend {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Default true. */
  readonly isFinal?: boolean;
  /** Default true, as every client must. */
  readonly isMasked?: boolean;
  /** The three reserved bits, as a number. Default 0. */
  readonly reserved?: number;
}

export interface ReceivedFrame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly isFinal: boolean;
  readonly isMasked: boolean;
  readonly reserved: number;
}

export function encodeWebSocketFrame(frame: FrameToSend): Buffer {
  const { payload, isFinal = true, isMasked = true, reserved = 0 } = frame;
  const maskBit = isMasked ? 0x80 : 0;
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | frame.opcode;
  if (!isMasked) return Buffer.concat([lengthHead(first, maskBit, payload.length), payload]);
  const mask = randomBytes(MASK_BYTES);
  return Buffer.concat([lengthHead(first, maskBit, payload.length), mask, masked(payload, mask)]);
}

function lengthHead(first: number, maskBit: number, length: number): Buffer {
  if (length <= SHORT_LENGTH) return Buffer.from([first, maskBit | length]);
  if (length <= MAX_2_BYTE_LENGTH) {
    return Buffer.from([first, maskBit | LENGTH_IN_2_BYTES, length >> 8, length & 0xff]);
  }
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = maskBit | LENGTH_IN_8_BYTES;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

function masked(payload: Buffer, mask: Buffer): Buffer {
  const result = Buffer.from(payload);
  for (let index = 0; index < result.length; index += 1) result[index]! ^= mask[index % MASK_BYTES]!;
  return result;
}

/** Cuts a stream of bytes into frames, however the bytes come. */
export class WebSocketFrameReader {
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  /** So many bytes are needed before another look is worth it. */
  #neededBytes = 0;

  /** The frames that are whole with this chunk, in order. */
  push(chunk: Buffer): ReceivedFrame[] {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes < this.#neededBytes) return [];
    let data = Buffer.concat(this.#chunks);
    const frames: ReceivedFrame[] = [];
    for (;;) {
      const head = readHead(data);
      const frameBytes = head === undefined ? undefined : head.payloadStart + head.length;
      if (head === undefined || frameBytes === undefined || data.length < frameBytes) {
        this.#chunks = [data];
        this.#bufferedBytes = data.length;
        this.#neededBytes = frameBytes ?? 0;
        return frames;
      }
      const payload = data.subarray(head.payloadStart, frameBytes);
      const { opcode, isFinal, reserved, mask } = head;
      const isMasked = mask !== undefined;
      frames.push({
        opcode,
        isFinal,
        reserved,
        isMasked,
        payload: isMasked ? masked(payload, mask) : payload,
      });
      data = data.subarray(frameBytes);
    }
  }
}

interface FrameHead {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly reserved: number;
  readonly mask: Buffer | undefined;
  readonly length: number;
  readonly payloadStart: number;
}

/** Undefined while it is not whole. */
function readHead(data: Buffer): FrameHead | undefined {
  const [first, second] = data;
  if (first === undefined || second === undefined) return undefined;
  const shortLength = second & 0x7f;
  const lengthBytes = shortLength === LENGTH_IN_2_BYTES ? 2 : shortLength === LENGTH_IN_8_BYTES ? 8 : 0;
  const maskStart = 2 + lengthBytes;
  const hasMask = (second & 0x80) !== 0;
  const payloadStart = maskStart + (hasMask ? MASK_BYTES : 0);
  if (data.length < payloadStart) return undefined;
  return {
    opcode: first & 0x0f,
    isFinal: (first & 0x80) !== 0,
    reserved: (first >> 4) & 7,
    mask: hasMask ? data.subarray(maskStart, payloadStart) : undefined,
    length:
      lengthBytes === 0
        ? shortLength
        : lengthBytes === 2
          ? data.readUInt16BE(2)
          : Number(data.readBigUInt64BE(2)),
    payloadStart,
  };
}

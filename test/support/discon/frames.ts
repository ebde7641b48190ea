/** The lengths that a frame begins with: of swap, inFile, outName, msg, fileContent and serverFilePath. */
const LENGTH_COUNT = 6;
const NUMBER_BYTES = 4;
const HEADER_BYTES = LENGTH_COUNT * NUMBER_BYTES;

/** One binary message between a client and a server of controllers. Texts are as they travel, zero bytes and all. */
export interface DisconFrame {
  readonly swap: Float32Array;
  readonly fail: number;
  readonly inFile: Buffer;
  readonly outName: Buffer;
  readonly msg: Buffer;
  readonly fileContent: Buffer;
  readonly serverFilePath: Buffer;
}

/** Bytes that are no frame. */
export class DisconFrameError extends Error {
  override readonly name = 'DisconFrameError';
}

/** All numbers are little-endian, as they are in the memory of every machine that this runs on. */
export function encodeFrame(frame: DisconFrame): Buffer {
  const { inFile, outName, msg, fileContent, serverFilePath } = frame;
  const header = Buffer.alloc(HEADER_BYTES);
  const lengths = [frame.swap, inFile, outName, msg, fileContent, serverFilePath].map((part) => part.length);
  for (const [index, length] of lengths.entries()) header.writeUInt32LE(length, index * NUMBER_BYTES);
  const fail = Buffer.alloc(NUMBER_BYTES);
  fail.writeInt32LE(frame.fail);
  return Buffer.concat([
    header,
    bytesOf(frame.swap),
    fail,
    inFile,
    outName,
    msg,
    fileContent,
    serverFilePath,
  ]);
}

/** What follows the frame is ignored; a frame that is cut short is a `DisconFrameError`. */
export function decodeFrame(data: Buffer): DisconFrame {
  if (data.length < HEADER_BYTES)
    throw new DisconFrameError(`a frame of ${data.length} bytes is shorter than its header`);
  const lengths = Array.from({ length: LENGTH_COUNT }, (_, index) => data.readUInt32LE(index * NUMBER_BYTES));
  const [swapCount = 0, ...textLengths] = lengths;
  const failStart = HEADER_BYTES + swapCount * NUMBER_BYTES;
  const textStart = failStart + NUMBER_BYTES;
  const totalBytes = textLengths.reduce((sum, length) => sum + length, textStart);
  if (data.length < totalBytes)
    throw new DisconFrameError(`a frame that says it has ${totalBytes} bytes has ${data.length}`);

  // Copied byte by byte: numbers that are none keep their bits.
  const swap = new Float32Array(swapCount);
  bytesOf(swap).set(data.subarray(HEADER_BYTES, failStart));
  let at = textStart;
  const [inFile, outName, msg, fileContent, serverFilePath] = textLengths.map((length) => {
    at += length;
    return data.subarray(at - length, at);
  }) as [Buffer, Buffer, Buffer, Buffer, Buffer];
  return { swap, fail: data.readInt32LE(failStart), inFile, outName, msg, fileContent, serverFilePath };
}

/** The frame that carries a file. An empty file cannot travel: its frame would be a call. */
export function transferFrame(serverName: string, content: Buffer): DisconFrame {
  return {
    swap: new Float32Array(1),
    fail: 0,
    inFile: Buffer.alloc(1),
    outName: Buffer.alloc(1),
    msg: Buffer.alloc(1),
    fileContent: content,
    serverFilePath: zeroEnded(serverName),
  };
}

/** A text as C has it. */
export function zeroEnded(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** The text up to its first zero byte. */
export function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end === -1 ? bytes.length : end).toString('utf8');
}

function bytesOf(swap: Float32Array): Buffer {
  return Buffer.from(swap.buffer, swap.byteOffset, swap.byteLength);
}

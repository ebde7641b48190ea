/**
 * The call that a simulation makes at its first step, and the answer, as servers of DISCON controllers take them over a WebSocket:
 * six lengths as u32, the swap array as f32, `fail` as i32, then inFile, outName, msg, fileContent and serverFilePath; all of it
 * little-endian. The answer has the layout of the call.
 */

const LENGTH_COUNT = 6;
const WORD_BYTES = 4;
const HEADER_BYTES = LENGTH_COUNT * WORD_BYTES;

/** More than any controller is known to touch: one that writes beyond the array would end its server. */
const SWAP_COUNT = 8_192;
const MESSAGE_BYTES = 1_024;
/** An empty name, with the zero byte that ends it. */
const NAME_BYTES = 1;

/** Fields of the swap array by their number in the array, which for Bladed begins at 1. */
const TIME_STEP = 3;
const MESSAGE_LENGTH = 49;
const IN_FILE_LENGTH = 50;
const OUT_NAME_LENGTH = 51;

/** As if of a simulation with steps of so many seconds. */
const STEP_SECONDS = 0.01;

/** What a controller said: `fail` is negative for an error, positive for a warning. */
export interface DisconAnswer {
  readonly fail: number;
  readonly message: string;
}

/** Bytes that are no answer to the call. */
export class DisconAnswerError extends Error {
  override readonly name = 'DisconAnswerError';
}

const LENGTHS = [SWAP_COUNT, NAME_BYTES, NAME_BYTES, MESSAGE_BYTES, 0, 0] as const;
const FAIL_OFFSET = HEADER_BYTES + SWAP_COUNT * WORD_BYTES;
const MESSAGE_OFFSET = FAIL_OFFSET + WORD_BYTES + 2 * NAME_BYTES;
const TOTAL_BYTES = MESSAGE_OFFSET + MESSAGE_BYTES;

/** The first call of a simulation, status 0, without an input file. */
export function firstCall(): Buffer {
  const bytes = Buffer.alloc(TOTAL_BYTES);
  LENGTHS.forEach((length, index) => bytes.writeUInt32LE(length, index * WORD_BYTES));
  const setSwap = (number: number, value: number): void => {
    bytes.writeFloatLE(value, HEADER_BYTES + (number - 1) * WORD_BYTES);
  };
  setSwap(TIME_STEP, STEP_SECONDS);
  setSwap(MESSAGE_LENGTH, MESSAGE_BYTES);
  setSwap(IN_FILE_LENGTH, NAME_BYTES);
  setSwap(OUT_NAME_LENGTH, NAME_BYTES);
  return bytes;
}

/** Fails with a `DisconAnswerError` for what is no answer to `firstCall`. */
export function readAnswer(bytes: Buffer): DisconAnswer {
  if (bytes.length < TOTAL_BYTES)
    throw new DisconAnswerError(`${bytes.length} bytes where ${TOTAL_BYTES} were due`);
  LENGTHS.forEach((length, index) => {
    const found = bytes.readUInt32LE(index * WORD_BYTES);
    if (found !== length)
      throw new DisconAnswerError(`length ${index + 1} is ${found}, and was ${length} in the call`);
  });
  const message = bytes.subarray(MESSAGE_OFFSET, TOTAL_BYTES);
  const end = message.indexOf(0);
  return {
    fail: bytes.readInt32LE(FAIL_OFFSET),
    message: message
      .subarray(0, end === -1 ? undefined : end)
      .toString('utf8')
      .trim(),
  };
}

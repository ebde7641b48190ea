import { textOf } from './frames.ts';

/** Places in the swap array, counted from 0. */
export const SWAP = {
  /** Out: how often the function was called. */
  calls: 0,
  /** Out: all that was ever in `input`. */
  sum: 1,
  input: 2,
  /** In: the test controller answers so much later. */
  sleepMs: 3,
  /** In: anything but 0 ends the server. */
  crash: 4,
  /** In: what is to be in `fail`. */
  fail: 5,
  /** Out: the size of the input file, 0 without one. */
  fileBytes: 6,
  /** Out: the sum of the bytes of the input file. */
  fileSum: 7,
  /** The sizes of the texts, and of the array itself, as every simulator gives them. */
  msgBytes: 48,
  inFileBytes: 49,
  outNameBytes: 63,
  length: 128,
} as const;

/** What a simulator shares with its controller; a call changes it in place. */
export interface DisconArguments {
  readonly swap: Float32Array;
  fail: number;
  readonly inFile: Buffer;
  readonly outName: Buffer;
  readonly msg: Buffer;
}

export interface ArgumentSizes {
  readonly swapLength?: number;
  readonly inFileBytes?: number;
  readonly outNameBytes?: number;
  readonly msgBytes?: number;
}

/** As the program that comes with the client makes them: 164 floats, and 25, 32 and 32 bytes of text. */
export function disconArguments(inFile = 'input.txt', sizes: ArgumentSizes = {}): DisconArguments {
  const { swapLength = 164, inFileBytes = 25, outNameBytes = 32, msgBytes = 32 } = sizes;
  const swap = new Float32Array(swapLength);
  swap[SWAP.length] = swapLength;
  swap[SWAP.inFileBytes] = Math.max(inFileBytes, Buffer.byteLength(inFile) + 1);
  swap[SWAP.outNameBytes] = outNameBytes;
  swap[SWAP.msgBytes] = msgBytes;
  const name = Buffer.alloc(swap[SWAP.inFileBytes] ?? 0);
  name.write(inFile);
  return { swap, fail: 0, inFile: name, outName: Buffer.alloc(outNameBytes), msg: Buffer.alloc(msgBytes) };
}

/** What the controller says. */
export function messageIn(given: DisconArguments): string {
  return textOf(given.msg);
}

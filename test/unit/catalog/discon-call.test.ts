import { describe, expect, it } from 'vitest';
import { DisconAnswerError, firstCall, readAnswer } from '../../../src/catalog/live-test/discon-call.ts';
import { decodeFrame, encodeFrame } from '../../support/discon/frames.ts';

/** As a server answers: the same layout, with what its procedure said. */
function answer(fail: number, message: string): Buffer {
  const call = decodeFrame(firstCall());
  const msg = Buffer.alloc(call.msg.length);
  msg.write(message);
  return encodeFrame({ ...call, fail, msg });
}

describe('the first call', () => {
  it('is a frame as servers read it: the first step of a simulation, with room for a message', () => {
    const { swap, fail, inFile, outName, msg, fileContent, serverFilePath } = decodeFrame(firstCall());
    expect(swap).toHaveLength(8_192);
    // Status, time and step; then how long the texts may be.
    expect([swap[0], swap[1]]).toEqual([0, 0]);
    expect(swap[2]).toBeCloseTo(0.01);
    expect([swap[48], swap[49], swap[50]]).toEqual([1_024, 1, 1]);
    expect(fail).toBe(0);
    expect([inFile, outName]).toEqual([Buffer.of(0), Buffer.of(0)]);
    expect(msg).toHaveLength(1_024);
    // With both of these it would be a file.
    expect([fileContent.length, serverFilePath.length]).toEqual([0, 0]);
  });
});

describe('an answer', () => {
  it.each([
    [0, 'DISCON called 1 times'],
    [-1, 'no input file'],
    [1, ''],
  ])('says %i and %j', (fail, message) => {
    expect(readAnswer(answer(fail, message))).toEqual({ fail, message });
  });

  it('may have bytes behind it, and a message without an end', () => {
    const full = 'x'.repeat(1_024);
    expect(readAnswer(Buffer.concat([answer(0, full), Buffer.from('more')])).message).toBe(full);
  });

  it.each([
    ['is empty', Buffer.alloc(0), '0 bytes where 33822 were due'],
    ['is cut off', answer(0, 'x').subarray(0, -1), '33821 bytes where 33822 were due'],
    [
      'has another layout',
      Buffer.concat([Buffer.of(1, 0, 0, 0), answer(0, '')]),
      'length 1 is 1, and was 8192',
    ],
  ])('that %s is none', (_what, bytes, message) => {
    expect(() => readAnswer(bytes)).toThrow(DisconAnswerError);
    expect(() => readAnswer(bytes)).toThrow(message);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demultiplex, MAX_FRAME_BYTES } from '../../../../src/runtime/docker/logs.ts';

function frame(type: number, body: Buffer, length = body.length): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, body]);
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncIterable<Buffer> {
  let offset = 0;
  for (let index = 0; offset < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<{ stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  for await (const { stream, data } of demultiplex(chunks)) texts[stream] += data.toString('latin1');
  return texts;
}

describe('demultiplex', () => {
  it('takes the streams apart, however the bytes are cut', async () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 40 })), {
      maxLength: 20,
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(frames, sizes, async (written, pieces) => {
        const bytes = Buffer.concat(written.map(([type, body]) => frame(type, Buffer.from(body))));
        const text = (wanted: number): string =>
          Buffer.concat(
            written.filter(([type]) => type === wanted).map(([, body]) => Buffer.from(body)),
          ).toString('latin1');
        expect(await collect(inPieces(bytes, pieces))).toEqual({ stdout: text(1), stderr: text(2) });
      }),
    );
  });

  it('hands a frame on before it is complete', async () => {
    const chunks = demultiplex(inPieces(frame(1, Buffer.from('begin'), 1000), [13]))[Symbol.asyncIterator]();
    expect((await chunks.next()).value).toMatchObject({ stream: 'stdout' });
  });

  it.each([
    ['of no known stream', frame(0, Buffer.from('x'))],
    ['of the stream of errors of the engine', frame(3, Buffer.from('x'))],
    ['of a text that is not framed', Buffer.from('plain text')],
    ['larger than any', frame(1, Buffer.from('x'), MAX_FRAME_BYTES + 1)],
    ['that ends too early', frame(1, Buffer.from('x'), 2)],
    ['with half a header', Buffer.from([1, 0, 0, 0])],
  ])('refuses a frame %s', async (_what, bytes) => {
    await expect(collect(inPieces(bytes, [3]))).rejects.toThrow(/frame/);
  });
});

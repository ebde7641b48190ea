import { describe, expect, it } from 'vitest';
import { jsonLines, MAX_LINE_LENGTH } from '../../../../src/runtime/docker/json-lines.ts';

async function collect(...chunks: (string | Buffer)[]): Promise<unknown[]> {
  const values: unknown[] = [];
  const source = (async function* () {
    for (const chunk of chunks) yield Buffer.from(chunk);
  })();
  for await (const value of jsonLines(source)) values.push(value);
  return values;
}

describe('jsonLines', () => {
  it('reads values however the bytes are cut', async () => {
    const bytes = Buffer.from('{"a":"ä€😀"}\r\n\n[1]\n"end"');
    for (let size = 1; size <= bytes.length; size += 1) {
      const pieces: Buffer[] = [];
      for (let offset = 0; offset < bytes.length; offset += size)
        pieces.push(bytes.subarray(offset, offset + size));
      expect(await collect(...pieces)).toEqual([{ a: 'ä€😀' }, [1], 'end']);
    }
  });

  it('refuses what is not JSON, after what came before', async () => {
    await expect(collect('{}\n%%%\n')).rejects.toThrow(/not JSON/);
    await expect(collect('{"cut":')).rejects.toThrow(/not JSON/);
  });

  it('takes a line of the longest length, and none longer', async () => {
    const longest = `"${'x'.repeat(MAX_LINE_LENGTH - 2)}"`;
    expect(await collect(`${longest}\n`)).toHaveLength(1);
    await expect(collect(`${longest}x\n`)).rejects.toThrow(/more than/);
    await expect(collect(longest, 'x')).rejects.toThrow(/more than/);
  });
});

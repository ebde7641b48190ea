import { describe, expect, it } from 'vitest';
import { replaceReferences, serverFileName } from '../../support/discon/server-file-name.ts';

describe('what a client calls its files on the server', () => {
  it.each([
    ['extra.dat', 'EXTRA', 'input_9441f2f2_extra.dat'],
    ['input.txt', 'Line1 input_9441f2f2_extra.dat\n', 'input_30dc0c0e_input.txt'],
  ])('%s: the golden name', (name, content, serverName) => {
    expect(serverFileName(name, Buffer.from(content))).toBe(serverName);
  });

  it('is put where the input file names them, in the middle of a word too', () => {
    const names = new Map([
      ['a.dat', 'input_1_a.dat'],
      ['b.dat', 'input_2_b.dat'],
    ]);
    expect(replaceReferences('a.dat "b.dat" xa.dat a.dat', names)).toBe(
      'input_1_a.dat "input_2_b.dat" xinput_1_a.dat input_1_a.dat',
    );
  });
});

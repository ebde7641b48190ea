import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { confirm } from '../../../cmd/cli/confirm.ts';

it.each([
  ['y\n', true],
  ['YES \n', true],
  ['yes please\n', false],
  ['n\n', false],
  ['\n', false],
  ['', false],
])('%j as an answer is %s', async (answer, expected) => {
  const input = new PassThrough();
  const output = new PassThrough();
  const confirmed = confirm('Really?', { input, output });
  input.end(answer);
  expect(await confirmed).toBe(expected);
  expect(String(output.read())).toContain('Really? [y/N] ');
});

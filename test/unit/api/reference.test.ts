import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { METHODS } from '../../../src/api/methods/table.ts';
import { generateRpcReference } from '../../../src/api/reference.ts';

test('docs/reference/rpc.md is what the tables say', () => {
  const page = readFileSync(new URL('../../../docs/reference/rpc.md', import.meta.url), 'utf8');
  expect(page).toBe(generateRpcReference());
});

test('it has every method', () => {
  const page = generateRpcReference();
  for (const name of Object.keys(METHODS)) expect(page).toContain(`### ${name}\n`);
});

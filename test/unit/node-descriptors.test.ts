import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { descriptorLimit, withinDescriptors } from '../../src/node-descriptors.ts';

const { config } = loadConfig({ homeDir: '/home/me', isRoot: false, env: {} });
const limitsAt = (limit: number | undefined): number[] => {
  const fitted = withinDescriptors(config, limit);
  return [fitted['limits.connections'], fitted['frontdoor.max_sessions']];
};

test('the limit is the one that the kernel has for this process', () => {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith('Max open'));
  expect(line?.split(/ +/)).toContain(String(descriptorLimit()));
});

test.each([undefined, 1_048_576, 4_096, 3_128])('%s descriptors are enough for what is set', (limit) => {
  expect(withinDescriptors(config, limit)).toBe(config);
});

test.each([3_127, 1_024, 256, 64, 16])('of %i some are left for the node itself', (limit) => {
  const [connections = 0, sessions = 0] = limitsAt(limit);
  expect(sessions).toBeGreaterThan(0);
  // Every session is a connection as well; some that are none must fit beside them.
  expect(connections).toBeGreaterThan(sessions);
  expect(connections + sessions).toBeLessThanOrEqual(limit - Math.min(128, limit / 2));
});

test('who wants little has it', () => {
  const modest = { ...config, 'limits.connections': 1_000, 'frontdoor.max_sessions': 10 };
  const fitted = withinDescriptors(modest, 512);
  expect([fitted['limits.connections'], fitted['frontdoor.max_sessions']]).toEqual([374, 10]);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/settings.ts';
import { templateOf } from '../../src/instances/controller-template.ts';
import { instanceRequest } from '../../src/instances/instance-job.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { catalogOptionsOf, frontDoorOptionsOf } from '../../src/node-options.ts';
import { entry } from './catalog/entries.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'node-options-test-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function configOf(yaml: string): Config {
  const configFile = join(directory, 'config.yaml');
  writeFileSync(configFile, yaml, { mode: 0o600 });
  return loadConfig({ homeDir: '/home/me', isRoot: false, env: {}, configFile }).config;
}

test('line 15 of the facts: the limits of a file of before are those that a container is asked for with', () => {
  const { defaults } = frontDoorOptionsOf(
    configOf('docker: { memory_limit: 0.5g, cpu_limit: 1.5, cleanup_timeout: 45 }'),
  );
  const template = templateOf(entry('rosco', '2.9.4', { sharing: 'shared' }), defaults);
  expect(instanceRequest(template).resources).toEqual({ cpu: 1.5, memory: 536_870_912 });
  expect(template.idleTimeoutMs).toBe(45_000);
});

test('an entry says more than the file', () => {
  const { defaults } = frontDoorOptionsOf(configOf('docker: { memory_limit: 1g, cpu_limit: 2 }'));
  const own = entry('rosco', '2.9.4', { resources: { memory: '64m' } });
  expect(templateOf(own, defaults).resources).toEqual({ cpu: 2, memory: 67_108_864 });
});

test('the catalog looks for its file where the one of before was, else in the data dir', () => {
  const owner = 'node' as NodeId;
  const moved = catalogOptionsOf(configOf('database: { path: /app/db/controllers.json }'), '/data', owner);
  expect(moved.file).toBe('/app/db/controllers.json');
  expect(catalogOptionsOf(configOf(''), '/data', owner).file).toBe('/data/controllers.json');
});

import { describe, expect, it } from 'vitest';
import { jobSpecSchema, SPEC_LIMITS } from '../../../src/jobs/spec.ts';

const read = (more: Record<string, unknown>) => jobSpecSchema.safeParse({ image: 'nginx', ...more });
const problem = (more: Record<string, unknown>) => {
  const issue = read(more).error?.issues[0];
  return issue === undefined ? undefined : `${issue.path.join('.')}: ${issue.message}`;
};

describe('a spec', () => {
  it('needs nothing but an image', () => {
    expect(jobSpecSchema.parse({ image: 'nginx' })).toEqual({
      image: 'nginx',
      arguments: [],
      env: {},
      resources: {},
      labels: {},
      ports: [],
      restart: { policy: 'no', max_attempts: 10 },
      timeouts: {},
      priority: 0,
    });
  });

  it.each([
    [
      { resources: { memory: '512m', cpu: '1.5', pids: 10 } },
      { resources: { memory: 536_870_912, cpu: 1.5, pids: 10 } },
    ],
    [{ resources: { memory: 6_291_456 } }, { resources: { memory: 6_291_456 } }],
    [{ timeouts: { run: '1h30m', start: 250 } }, { timeouts: { run: 5_400_000, start: 250 } }],
    [
      { ports: [{ container: 80 }] },
      { ports: [{ container: 80, host: 0, protocol: 'tcp', address: '127.0.0.1' }] },
    ],
    [{ restart: { policy: 'always' } }, { restart: { policy: 'always', max_attempts: 10 } }],
  ])('reads %j', (given, expected) => {
    expect(read(given).data).toMatchObject(expected);
  });

  it.each([
    [{ image: '' }, 'image: '],
    [{ image: 7 }, 'image: '],
    [{ arguments: 'ls' }, 'arguments: '],
    [{ arguments: [1] }, 'arguments.0: '],
    [{ arguments: ['a\0b'] }, 'arguments.0: must not contain a NUL'],
    [{ env: { 'A=B': '1' } }, 'env.A=B'],
    [{ env: { A: 1 } }, 'env.A: '],
    [{ resources: { memory: '5m' } }, 'resources.memory: must be between 6m and 64t'],
    [{ resources: { memory: 'lots' } }, 'resources.memory: must be a size such as 512m'],
    [{ resources: { memory: -1 } }, 'resources.memory: must be between'],
    [{ resources: { cpu: 0 } }, 'resources.cpu: must be a number of cores'],
    [{ resources: { cpu: 'abc' } }, 'resources.cpu: must be a number of cores'],
    [{ resources: { cpu: 1e9 } }, 'resources.cpu: must be a number of cores'],
    [{ resources: { pids: 0 } }, 'resources.pids: '],
    [{ resources: { gpu: 1 } }, 'resources: '],
    [{ labels: { 'container-manager.job': 'x' } }, 'labels.container-manager.job'],
    [{ ports: [{ container: 0 }] }, 'ports.0.container: '],
    [{ ports: [{ container: 80, protocol: 'sctp' }] }, 'ports.0.protocol: '],
    [{ working_dir: 'relative' }, 'working_dir: must be an absolute path'],
    [{ user: 'root;rm' }, 'user: must be user or user:group'],
    [{ network: 'container:abc' }, 'network: must be the name of a network'],
    [{ stop_signal: 'TERM; ls' }, 'stop_signal: must be a signal'],
    [{ healthcheck: {} }, 'healthcheck: needs either test or tcp'],
    [{ healthcheck: { test: ['true'], tcp: 80 } }, 'healthcheck: needs either test or tcp'],
    [{ retry: { attempts: 0 } }, 'retry.attempts: '],
    [{ timeouts: { run: 'soon' } }, 'timeouts.run: must be a duration such as 30s'],
    [{ timeouts: { run: -1 } }, 'timeouts.run: must be a duration'],
    [{ priority: 1.5 }, 'priority: '],
    [{ idempotency_key: '' }, 'idempotency_key: '],
    [{ wait_ms: -1 }, 'wait_ms: '],
    [{ name: '../x' }, 'name: must be 1 to 128 letters'],
    [{ privileged: true }, ': '],
    [{ HostConfig: { Privileged: true } }, ': '],
  ])('refuses %j, naming the field', (given, expected) => {
    expect(problem(given)).toContain(expected);
  });

  it('is bounded as a whole, also where no single field is too long', () => {
    const { argumentLength, totalBytes } = SPEC_LIMITS;
    const make = (count: number) => ({
      arguments: Array.from({ length: count }, () => 'a'.repeat(argumentLength)),
    });
    const fitting = Math.floor(totalBytes / argumentLength) - 1;
    expect(problem(make(fitting))).toBeUndefined();
    expect(problem(make(fitting + 1))).toMatch(
      /^: must be at most 262144 bytes in all, as JSON; it is 262\d{3}$/,
    );
  });

  it('is bounded at every list and text', () => {
    const { argumentCount, argumentLength, envCount, labelCount, portCount } = SPEC_LIMITS;
    const entries = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`K${index}`, 'v']));
    const ports = (count: number) => Array.from({ length: count }, (_, index) => ({ container: index + 1 }));
    const limits: [number, (size: number) => Record<string, unknown>][] = [
      [argumentCount, (size) => ({ arguments: Array.from({ length: size }, () => 'a') })],
      [argumentLength, (size) => ({ arguments: ['a'.repeat(size)] })],
      [envCount, (size) => ({ env: entries(size) })],
      [labelCount, (size) => ({ labels: entries(size) })],
      [portCount, (size) => ({ ports: ports(size) })],
    ];
    for (const [limit, make] of limits) {
      expect(read(make(limit)).success).toBe(true);
      expect(read(make(limit + 1)).success).toBe(false);
    }
  });
});

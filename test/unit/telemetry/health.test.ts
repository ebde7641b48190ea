import { describe, expect, test } from 'vitest';
import { Health } from '../../../src/telemetry/health.ts';

describe('health', () => {
  test('a node without parts is ok and ready', () => {
    expect(new Health().report()).toEqual({ status: 'ok', ready: true, parts: {} });
  });

  test('a part is down until it says otherwise', () => {
    const health = new Health();
    const store = health.register('store', { isRequired: true });
    expect(health.report()).toEqual({
      status: 'degraded',
      ready: false,
      parts: { store: { status: 'down', message: 'not started yet' } },
    });
    store.ok();
    expect(health.report()).toEqual({ status: 'ok', ready: true, parts: { store: { status: 'ok' } } });
  });

  test('the node is ready while all required parts are ok', () => {
    const health = new Health();
    const store = health.register('store', { isRequired: true });
    const docker = health.register('docker', { isRequired: true });
    const disk = health.register('disk', { isRequired: false });
    store.ok();
    docker.ok('engine 1');
    disk.down('nearly full');
    expect(health.report()).toMatchObject({ status: 'degraded', ready: true });
    docker.down('no engine answers');
    expect(health.report()).toMatchObject({
      status: 'degraded',
      ready: false,
      parts: { docker: { status: 'down', message: 'no engine answers' } },
    });
    docker.ok();
    disk.ok();
    expect(health.report()).toMatchObject({ status: 'ok', ready: true });
  });

  test('a draining node is not ready, though nothing is wrong with it', () => {
    const health = new Health();
    health.register('store', { isRequired: true }).ok();
    health.drain();
    expect(health.report()).toMatchObject({
      status: 'ok',
      ready: false,
      parts: { node: { status: 'down', message: 'the node is stopping: nothing new is accepted' } },
    });
  });

  test('a report does not change afterwards', () => {
    const health = new Health();
    const store = health.register('store', { isRequired: true });
    const before = health.report();
    store.ok();
    expect(before.parts['store']?.status).toBe('down');
  });

  test('a part that is registered again begins anew', () => {
    const health = new Health();
    const first = health.register('docker', { isRequired: true });
    health.register('docker', { isRequired: true });
    first.ok();
    expect(health.report().ready).toBe(false);
  });

  test('a part may have any name', () => {
    const health = new Health();
    health.register('__proto__', { isRequired: true }).ok();
    expect(Object.keys(health.report().parts)).toEqual(['__proto__']);
  });
});

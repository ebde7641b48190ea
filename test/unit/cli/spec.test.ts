import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { readEnvironment } from '../../../cmd/cli/spec/environment.ts';
import { parsePublish } from '../../../cmd/cli/spec/publish.ts';
import { specOf } from '../../../cmd/cli/spec/spec-of.ts';
import { addSpecOptions, type SpecOptions } from '../../../cmd/cli/spec/spec-options.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';

const directory = mkdtempSync(join(tmpdir(), 'cm-cli-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function fileWith(text: string): string {
  const path = join(directory, `${Math.random()}.env`);
  writeFileSync(path, text);
  return path;
}

describe('--publish', () => {
  it.each([
    ['80', { container: 80 }],
    ['8080:80', { container: 80, host: 8080 }],
    [':80', { container: 80 }],
    ['127.0.0.1:8080:80', { container: 80, host: 8080, address: '127.0.0.1' }],
    ['127.0.0.1::80', { container: 80, address: '127.0.0.1' }],
    ['127.0.0.1:80', { container: 80, address: '127.0.0.1' }],
    ['[::1]:53:53/udp', { container: 53, host: 53, protocol: 'udp', address: '::1' }],
    ['[::1]:80', { container: 80, address: '::1' }],
    ['53/udp', { container: 53, protocol: 'udp' }],
    ['53/tcp', { container: 53 }],
  ])('%s', (text, port) => {
    expect(parsePublish(text)).toEqual(port);
  });

  it.each([
    '',
    '0',
    '65536',
    'x',
    '80/sctp',
    '80/tcp/udp',
    '1:2:3',
    '1.2.3:80:80',
    '300.1.1.1:80:80',
    '::1:80:80',
  ])('refuses %j', (text) => {
    expect(() => parsePublish(text)).toThrow(/^--publish .* must be \[ADDRESS:\]/);
  });
  it.each(['127.0.0.1:8080:', '[::1', '[127.0.0.1]:80', '-1', '1e3', '80-90', '8080:80:'])(
    'refuses %j',
    (text) => {
      expect(() => parsePublish(text)).toThrow(/^--publish/);
    },
  );
});

describe('variables', () => {
  const own = { HOME: '/here', EMPTY: '' };

  it('takes values as they stand, and those of names alone from here', () => {
    const env = ['A=1', 'B=x=y', 'C=', 'HOME', 'EMPTY', 'NOT_SET', 'A=2'];
    expect(readEnvironment({ env }, own)).toEqual({ A: '2', B: 'x=y', C: '', HOME: '/here', EMPTY: '' });
  });

  it('reads files first, without comments and empty lines, whatever ends a line', () => {
    const envFile = [fileWith('\uFEFF# comment\r\nA=1\r\n\r\n  B="quoted"\nHOME\n'), fileWith('A=3\n')];
    expect(readEnvironment({ envFile, env: ['B=2'] }, own)).toEqual({ A: '3', B: '2', HOME: '/here' });
  });

  it('is a variable like any other that is called __proto__', () => {
    expect(Object.entries(readEnvironment({ env: ['__proto__=x'] }, own))).toEqual([['__proto__', 'x']]);
  });

  it('names the place of a mistake and not the value', () => {
    const file = fileWith('A=1\nbad name=secret\n');
    expect(() => readEnvironment({ envFile: [file] }, own)).toThrow(`${file}:2: a variable must be`);
    expect(() => readEnvironment({ envFile: [file] }, own)).not.toThrow(/secret/);
    expect(() => readEnvironment({ env: ['=x'] }, own)).toThrow('--env: a variable must be');
    expect(() => readEnvironment({ envFile: ['/no/such/file'] }, own)).toThrow('--env-file cannot be read');
  });
});

describe('the spec of a run', () => {
  function specOfLine(...line: string[]): unknown {
    const command = new Command('run')
      .argument('<image>')
      .argument('[arg...]')
      .passThroughOptions()
      .exitOverride();
    command.configureOutput({ writeErr: () => undefined });
    addSpecOptions(command);
    let spec: unknown;
    command.action((image: string, args: string[]) => {
      spec = specOf(image, args, command.opts<SpecOptions>(), { HERE: 'h' });
    });
    command.parse(line, { from: 'user' });
    return spec;
  }

  it('is the image alone when nothing else is said: every default is the node’s', () => {
    expect(specOfLine('app')).toEqual({ image: 'app' });
  });

  it('gives what comes after the image to the container', () => {
    expect(specOfLine('--name', 'x', 'app', '--name', 'y', '-e', 'z')).toEqual({
      image: 'app',
      name: 'x',
      arguments: ['--name', 'y', '-e', 'z'],
    });
  });

  it('reaches every field of a spec, in a form that the node takes', () => {
    const line =
      '-n web -e A=1 -e HERE -m 512m --cpu 0.5 --pids 64 -l team=blue -p 8080:80 --entrypoint /bin/app --workdir /srv ' +
      '-u 1000:1000 --network none --drop-capabilities --read-only --restart on-failure:3 --stop-signal SIGINT --stop-timeout 5s --health-tcp 80 ' +
      '--health-interval 1s --health-timeout 2s --health-start-period 3s --health-retries 4 --pull never --retry 2 ' +
      '--retry-backoff 1s --queue-timeout 1m --pull-timeout 2m --start-timeout 3m --run-timeout 4m --priority -5 ' +
      '--idempotency-key k --ttl 1h --on any app serve';
    const spec = specOfLine(...line.split(' '));
    const parsed = jobSpecSchema.parse(spec);
    const unreached = Object.keys(jobSpecSchema.shape).filter((key) => !Object.hasOwn(spec as object, key));
    // A client waits by itself, so that it has the id before.
    expect(unreached).toEqual(['wait_ms']);
    expect(parsed).toMatchObject({
      arguments: ['serve'],
      env: { A: '1', HERE: 'h' },
      restart: { policy: 'on-failure', max_attempts: 3 },
      timeouts: { queue: 60_000, pull: 120_000, start: 180_000, run: 240_000 },
      healthcheck: { tcp: 80, interval: 1_000, timeout: 2_000, start_period: 3_000, retries: 4 },
    });
  });

  it.each([
    [['--health-cmd', 'test -f /ready'], { healthcheck: { test: ['/bin/sh', '-c', 'test -f /ready'] } }],
    [['--health-cmd', '["/probe","-v"]'], { healthcheck: { test: ['/probe', '-v'] } }],
    [['--entrypoint', '["/bin/app","--x"]'], { entrypoint: ['/bin/app', '--x'] }],
    [['--restart', 'always'], { restart: { policy: 'always' } }],
    [['--label', 'flag'], { labels: { flag: '' } }],
  ])('%j', (options, fields) => {
    expect(specOfLine(...options, 'app')).toEqual({ image: 'app', ...fields });
  });

  it.each([
    [['--restart', 'sometimes'], /--restart "sometimes" must be/],
    [['--restart', 'no:3'], /--restart "no:3" must be/],
    [['--retry-backoff', '1s'], /--retry-backoff needs --retry/],
    [['--health-interval', '1s'], /a probe is needed/],
    [['--entrypoint', '["/bin/app"'], /--entrypoint must be a JSON array/],
    [['--health-cmd', '[1]'], /--health-cmd must be a JSON array/],
    [['--label', '=x'], /--label "=x" must be NAME=VALUE/],
    [['--stop-timeout', '5 parsecs'], /must be a duration/],
    [['--pids', 'many'], /must be a whole number/],
    [['--health-cmd', 'x', '--health-tcp', '80'], /cannot be used with/],
  ])('refuses %j', (options, message) => {
    expect(() => specOfLine(...options, 'app')).toThrow(message);
  });
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadSetup } from './load-setup.ts';

interface CommandModule {
  run(
    stepName: string,
    command: readonly string[],
    options: { timeoutMs: number; env?: NodeJS.ProcessEnv },
  ): Promise<void>;
  systemEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
  lastLines(text: string, maxLines?: number): string;
}
interface ProgressModule {
  step<T>(title: string, work: () => Promise<T>, out: { write(text: string): unknown }): Promise<T>;
}

const { lastLines, run, systemEnvironment } = await loadSetup<CommandModule>('command.mjs');
const { step } = await loadSetup<ProgressModule>('progress.mjs');

const node = (script: string): string[] => [process.execPath, '-e', script];

it('a command that fails is reported with step, command, end and its last lines', async () => {
  const command = node(
    "for (let i = 0; i < 30; i++) console.log('line ' + i); console.error('the cause'); process.exitCode = 7",
  );
  const failure = await run('Making tea', command, { timeoutMs: 10_000 }).catch(
    (error: Error) => error.message,
  );
  expect(failure).toContain(`Making tea failed: \`${command.join(' ')}\` ended with exit code 7.`);
  expect(failure).toContain('the cause');
  expect(failure).not.toContain('line 1\n');
  expect(String(failure).split('\n').length).toBeLessThanOrEqual(22);
});

it('a command that takes too long is ended, and one that does not exist is named', async () => {
  await expect(run('Waiting', node('setInterval(() => {}, 1000)'), { timeoutMs: 300 })).rejects.toThrow(
    /SIGTERM after 0\.3 s/,
  );
  await expect(run('Looking', ['/nonexistent/program'], { timeoutMs: 10_000 })).rejects.toThrow(
    /`\/nonexistent\/program` could not be started \(ENOENT\)/,
  );
});

it('a command that succeeds says nothing', async () => {
  await expect(run('Working', node(''), { timeoutMs: 10_000 })).resolves.toBeUndefined();
});

it('commands do not see the programs of node_modules', () => {
  const env = systemEnvironment({
    PATH: '/x/node_modules/.bin:/usr/bin:/y/node_modules/.bin:/bin',
    HOME: '/h',
  });
  expect(env).toEqual({ PATH: '/usr/bin:/bin', HOME: '/h' });
});

it('the last lines of a text are the last that hold something', () => {
  expect(lastLines('a\n\nb\nc\n', 2)).toBe('  b\n  c');
});

it('a step is one line with its time, however it ends', async () => {
  let printed = '';
  const out = { write: (text: string) => (printed += text) };
  await expect(step('boiling', () => Promise.resolve(5), out)).resolves.toBe(5);
  await expect(step('pouring', () => Promise.reject(new Error('spilt')), out)).rejects.toThrow('spilt');
  expect(printed).toMatch(/^set-up: boiling \.\.\. 0\.\d s\nset-up: pouring \.\.\. failed after 0\.\d s\n$/);
});

it.each([
  [['--nope'], {}, 2, /Unknown option '--nope'/],
  [
    [],
    { DOCKER_HOST: 'unix:///nonexistent' },
    1,
    /^set-up: DOCKER_HOST is unix:\/\/\/nonexistent, but no Docker Engine/,
  ],
])('the program ends with one clear message: %j %j', (args, env, exitCode, message) => {
  const program = join(process.cwd(), 'cmd', 'setup.mjs');
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: exitCode, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n\s+at /);
});

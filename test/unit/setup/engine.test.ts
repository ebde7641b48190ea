import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSetup } from './load-setup.ts';
import { PATIENCE } from '../../support/patience.ts';

interface Answer {
  readonly address: string;
  readonly outcome: string;
}
interface Machine {
  readonly isExplicit: boolean;
  readonly isRoot: boolean;
  readonly isDebian: boolean;
  readonly hasDockerd: boolean;
  readonly platform: string;
}
interface Plan {
  readonly kind: string;
  readonly address?: string;
  readonly needsInstall?: boolean;
  readonly message?: string;
}
interface EngineModule {
  engineAddresses(env: Record<string, string>, home: string): string[];
  connectionOf(address: string, env: Record<string, string>): unknown;
  ping(address: string, env: Record<string, string>, timeoutMs?: number): Promise<string>;
  planEngine(answers: readonly Answer[], machine: Machine): Plan;
}
interface EngineStartModule {
  startDetached(options: {
    command: readonly string[];
    address: string;
    logFile: string;
    timeoutMs?: number;
  }): Promise<number>;
  waitForSilentEngine(address: string, timeoutMs: number): Promise<void>;
}

const { engineAddresses, connectionOf, ping, planEngine } = await loadSetup<EngineModule>('engine.mjs');
const { startDetached, waitForSilentEngine } = await loadSetup<EngineStartModule>('engine-start.mjs');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-engine-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('where an engine is looked for', () => {
  it('is the address the user set, and no other', () => {
    expect(
      engineAddresses({ DOCKER_HOST: 'unix:///nonexistent', XDG_RUNTIME_DIR: '/run/user/7' }, '/h'),
    ).toEqual(['unix:///nonexistent']);
  });

  it('is the usual sockets when the user set none, or an empty one', () => {
    expect(engineAddresses({ DOCKER_HOST: '', XDG_RUNTIME_DIR: '/run/user/7' }, '/h')).toEqual([
      'unix:///var/run/docker.sock',
      'unix:///run/user/7/docker.sock',
      'unix:///h/.docker/run/docker.sock',
    ]);
  });

  it.each([
    ['unix:///a/b.sock', { socketPath: '/a/b.sock' }],
    ['tcp://127.0.0.1:2999', { host: '127.0.0.1', port: 2999 }],
    ['tcp://engine', { host: 'engine', port: 2375 }],
    ['http://[::1]:2375/', { host: '::1', port: 2375 }],
    ['ssh://somebody@host', undefined],
    ['npipe:////./pipe/docker_engine', undefined],
  ])('reads %s', (address, connection) => {
    expect(connectionOf(address, {})).toEqual(connection);
  });

  it('leaves an address behind TLS to the client that has the certificates', () => {
    expect(connectionOf('tcp://127.0.0.1:2376', { DOCKER_TLS_VERIFY: '1' })).toBeUndefined();
  });
});

describe('what an address answers', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function listen(handler: RequestListener): Promise<string> {
    const server = createServer(handler);
    servers.push(server);
    server.listen(join(folder, 'engine.sock'));
    await once(server, 'listening');
    return `unix://${join(folder, 'engine.sock')}`;
  }

  it('is "answers" from an engine, asked for /_ping', async () => {
    const asked: (string | undefined)[] = [];
    const address = await listen((request, response) => {
      asked.push(request.url);
      response.end('OK');
    });
    await expect(ping(address, {})).resolves.toBe('answers');
    expect(asked).toEqual(['/_ping']);
  });

  it('is "broken" from something else', async () => {
    const address = await listen((_request, response) => response.writeHead(404).end());
    await expect(ping(address, {})).resolves.toBe('broken');
  });

  it('is "silent" where nothing comes back, and the wait for it is bounded', async () => {
    const address = await listen(() => {});
    await expect(ping(address, {}, 50)).resolves.toBe('silent');
    await expect(waitForSilentEngine(`tcp://127.0.0.1:1`, 50)).rejects.toThrow(/within 0.05 s/);
  });

  it('is "absent" where nobody listens, and "unknown" where it cannot be asked', async () => {
    await expect(ping(`unix://${folder}/none.sock`, {})).resolves.toBe('absent');
    await expect(ping('ssh://somebody@host', {})).resolves.toBe('unknown');
  });
});

describe('what is done about the engine', () => {
  const machine: Machine = {
    isExplicit: false,
    isRoot: true,
    isDebian: true,
    hasDockerd: false,
    platform: 'linux',
  };
  const absent = [
    { address: 'unix:///a', outcome: 'absent' },
    { address: 'unix:///b', outcome: 'absent' },
  ];

  it.each(['answers', 'unknown'])('is nothing when any address is "%s"', (outcome) => {
    const answers = [...absent, { address: 'unix:///c', outcome }];
    expect(planEngine(answers, machine)).toEqual({ kind: 'ready', address: 'unix:///c' });
  });

  it('is to wait for one that is silent, rather than to start a second', () => {
    const answers = [...absent, { address: 'unix:///c', outcome: 'silent' }];
    expect(planEngine(answers, machine)).toEqual({ kind: 'wait', address: 'unix:///c' });
  });

  it('is to install and start one as root on Debian', () => {
    expect(planEngine(absent, machine)).toEqual({ kind: 'start', address: 'unix:///a', needsInstall: true });
  });

  it('is only to start one that is installed', () => {
    const plan = planEngine(absent, { ...machine, isDebian: false, hasDockerd: true });
    expect(plan).toEqual({ kind: 'start', address: 'unix:///a', needsInstall: false });
  });

  it('never starts another when the user named one', () => {
    const plan = planEngine([{ address: 'unix:///nonexistent', outcome: 'absent' }], {
      ...machine,
      isExplicit: true,
    });
    expect(plan.kind).toBe('ask');
    expect(plan.message).toContain('unix:///nonexistent');
  });

  it.each<[string, Partial<Machine>, string]>([
    ['on Debian without root', { isRoot: false }, 'sudo apt-get install'],
    ['on Linux without root, installed', { isRoot: false, hasDockerd: true }, 'sudo service docker start'],
    ['on another Linux', { isDebian: false }, 'sudo systemctl start docker'],
    ['on macOS', { platform: 'darwin', isDebian: false }, 'open -a Docker'],
  ])('is one message with the command to run %s', (_where, difference, command) => {
    const plan = planEngine(absent, { ...machine, ...difference });
    expect(plan.kind).toBe('ask');
    expect(plan.message).toContain(command);
    expect(plan.message).not.toContain('\n');
  });

  it('tells a user who may not connect how to be let in', () => {
    const plan = planEngine([{ address: 'unix:///a', outcome: 'denied' }], { ...machine, isRoot: false });
    expect(plan.message).toContain('usermod -aG docker');
  });
});

describe('starting an engine', () => {
  function program(body: string, interpreter = process.execPath): string {
    const path = join(folder, 'engine');
    writeFileSync(path, `#!${interpreter}\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  }
  const address = () => `unix://${join(folder, 'started.sock')}`;
  const logFile = () => join(folder, 'engine.log');

  it('resolves when it answers, in a process group of its own, and keeps its log in the file', async () => {
    const command = [
      program(`
        console.log('hello from the engine');
        require('node:http').createServer((_, response) => response.end('OK')).listen(process.argv[2]);`),
      join(folder, 'started.sock'),
    ];
    const pid = await startDetached({ command, address: address(), logFile: logFile() });
    try {
      // Only the first process of a group answers to the group's number.
      expect(process.kill(-pid, 0)).toBe(true);
      expect(readFileSync(logFile(), 'utf8')).toContain('hello from the engine');
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  });

  it('fails with the command, its end and what it logged this time, as soon as it ends', async () => {
    writeFileSync(logFile(), 'a line of an earlier start\n');
    const command = [program(`console.error('no space left'); process.exit(3);`)];
    const start = startDetached({ command, address: address(), logFile: logFile() });
    await expect(start).rejects.toThrow(/ended with exit code 3\.\n[^]*no space left/);
    await expect(start).rejects.not.toThrow(/earlier start/);
  });

  it('ends a process that does not answer in time', async () => {
    const pidFile = join(folder, 'pid');
    // A shell is up long before that, on any machine.
    const command = [program(`echo $$ > '${pidFile}'; exec sleep 1000`, '/bin/sh')];
    await expect(
      startDetached({ command, address: address(), logFile: logFile(), timeoutMs: 1_500 }),
    ).rejects.toThrow(/not answered within 1\.5 s/);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await expect.poll(() => isRunning(pid), PATIENCE).toBe(false);
  });

  it('says when there is no such program', async () => {
    const start = startDetached({ command: [join(folder, 'none')], address: address(), logFile: logFile() });
    await expect(start).rejects.toThrow(/could not be started \(ENOENT\)/);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

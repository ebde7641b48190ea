import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../support/wait-for.ts';
import { requirePrograms, requireRoot, run } from './programs.ts';

/** Seen by nobody but the spaces themselves. */
const SUBNET = '10.231.77';
const DEVICE = 'eth0';
const DOOR_LIMIT_MS = 10_000;

/** What goes wrong between one space and all others. */
export type Cut =
  /** Nothing passes, and nobody is told. */
  | 'silent'
  /** Nothing comes in; what goes out arrives. */
  | 'deaf'
  /** Nothing goes out; what comes in arrives. */
  | 'mute'
  /** Whoever tries is told at once, and connections end. */
  | 'refused'
  /** The cable is pulled. */
  | 'unplugged';

/** Networks of their own on one switch, each for one process. Dispose to remove them all. */
export class NetSpaces implements AsyncDisposable {
  readonly spaces: readonly NetSpace[];
  readonly #hub = `cm-${randomBytes(3).toString('hex')}`;

  constructor(count: number) {
    requireRoot();
    requirePrograms('ip', 'iptables');
    // The switch is in a space of its own: rules of this machine do not apply there.
    run('ip', 'netns', 'add', this.#hub);
    run('ip', '-n', this.#hub, 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', '-n', this.#hub, 'link', 'set', 'br0', 'up');
    this.spaces = Array.from({ length: count }, (_, index) => new NetSpace(this.#hub, index));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const space of this.spaces) await space[Symbol.asyncDispose]();
    run('ip', 'netns', 'delete', this.#hub);
  }
}

export class NetSpace implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-door-'));
  readonly #doors: { readonly server: Server; readonly inside: ChildProcess }[] = [];

  constructor(hub: string, index: number) {
    this.name = `${hub}-${index}`;
    this.address = `${SUBNET}.${index + 1}`;
    const port = `port${index}`;
    run('ip', 'netns', 'add', this.name);
    run('ip', 'link', 'add', DEVICE, 'netns', this.name, 'type', 'veth', 'peer', 'name', port, 'netns', hub);
    run('ip', '-n', hub, 'link', 'set', port, 'master', 'br0', 'up');
    run('ip', '-n', this.name, 'address', 'add', `${this.address}/24`, 'dev', DEVICE);
    for (const device of ['lo', DEVICE]) run('ip', '-n', this.name, 'link', 'set', device, 'up');
  }

  /** What a command is started with to run in here. */
  get launcher(): readonly string[] {
    return ['/usr/sbin/ip', 'netns', 'exec', this.name];
  }

  /** A port on loopback in here is on loopback outside, too, whatever is cut. */
  async openDoor(port: number): Promise<void> {
    const path = join(this.#directory, `${port}.sock`);
    const script = `require('node:net').createServer((from) => {
      const to = require('node:net').connect(${port}, '127.0.0.1');
      for (const [a, b] of [[from, to], [to, from]]) a.on('error', () => b.destroy()).on('close', () => b.destroySoon()).pipe(b);
    }).listen(${JSON.stringify(path)})`;
    const [command = '', ...args] = [...this.launcher, process.execPath, '-e', script];
    const inside = spawn(command, args, { stdio: 'ignore' });
    const server = createServer((from) => {
      const to = connect(path);
      for (const [a, b] of [
        [from, to],
        [to, from],
      ] as const)
        // Of a long answer some is still on its way when whoever wrote it has closed.
        a.on('error', () => b.destroy())
          .on('close', () => b.destroySoon())
          .pipe(b);
    });
    this.#doors.push({ server, inside });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    await waitFor('the door to open', DOOR_LIMIT_MS, () => existsSync(path));
  }

  cut(kind: Cut): void {
    if (kind === 'unplugged') return void run('ip', '-n', this.name, 'link', 'set', DEVICE, 'down');
    if (kind === 'refused') {
      this.#rule('INPUT', '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset');
      return this.#rule('OUTPUT', '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset');
    }
    if (kind !== 'mute') this.#rule('INPUT', '-j', 'DROP');
    if (kind !== 'deaf') this.#rule('OUTPUT', '-j', 'DROP');
  }

  /** From now on so many of the packets that come are lost; from 0 to 1. */
  lose(share: number): void {
    this.#rule('INPUT', '-m', 'statistic', '--mode', 'random', '--probability', String(share), '-j', 'DROP');
  }

  /** All is as it was. */
  heal(): void {
    this.#iptables('-F');
    run('ip', '-n', this.name, 'link', 'set', DEVICE, 'up');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, inside } of this.#doors) {
      server.close();
      if (inside.exitCode === null) {
        inside.kill('SIGKILL');
        await once(inside, 'exit');
      }
    }
    run('ip', 'netns', 'delete', this.name);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #rule(chain: 'INPUT' | 'OUTPUT', ...rule: readonly string[]): void {
    const device = chain === 'INPUT' ? '-i' : '-o';
    this.#iptables('-A', chain, device, DEVICE, ...rule);
  }

  #iptables(...args: readonly string[]): void {
    run('ip', 'netns', 'exec', this.name, 'iptables', '-w', ...args);
  }
}

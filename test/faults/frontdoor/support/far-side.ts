import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { waitFor } from '../../../support/wait-for.ts';
import { requirePrograms, requireRoot, run } from '../../support/programs.ts';
import { TempDirectory } from '../../support/temp-directory.ts';

const DEVICE = 'eth0';
const DOOR_LIMIT_MS = 10_000;

/**
 * A network at the other end of a cable from this machine, with a way into it: whoever connects to `port` is connected to a port of
 * this machine from over there. So a cut of the cable is one between the two, whoever is at the near end of the way. Dispose to remove it.
 */
export class FarSide implements AsyncDisposable {
  /** This machine, as it is reached from there. */
  readonly nearAddress: string;
  /** As the addresses there are written in a setting. */
  readonly network: string;
  readonly #name = `cm-${randomBytes(3).toString('hex')}`;
  readonly #directory = new TempDirectory('cm-far-');
  #inside: ChildProcess | undefined;
  #server: Server | undefined;

  constructor() {
    requireRoot();
    requirePrograms('ip', 'iptables');
    // Whoever else does the same on this machine draws another one.
    const base = `10.${randomInt(128, 255)}.${randomInt(0, 256)}`;
    this.nearAddress = `${base}.1`;
    this.network = `${base}.0/30`;
    run('ip', 'netns', 'add', this.#name);
    run('ip', 'link', 'add', this.#name, 'type', 'veth', 'peer', 'name', DEVICE, 'netns', this.#name);
    run('ip', 'address', 'add', `${this.nearAddress}/30`, 'dev', this.#name);
    run('ip', 'link', 'set', this.#name, 'up');
    run('ip', '-n', this.#name, 'address', 'add', `${base}.2/30`, 'dev', DEVICE);
    run('ip', '-n', this.#name, 'link', 'set', DEVICE, 'up');
  }

  /** Gives the port that leads there and back to `nearPort`. */
  async open(nearPort: number): Promise<number> {
    const path = this.#directory.file('far.sock');
    const script = `require('node:net').createServer({ allowHalfOpen: true }, (from) => {
      const to = require('node:net').connect({ port: ${nearPort}, host: '${this.nearAddress}', allowHalfOpen: true });
      for (const [a, b] of [[from, to], [to, from]]) a.on('error', () => b.destroy()).pipe(b);
    }).listen(${JSON.stringify(path)})`;
    const enter = ['netns', 'exec', this.#name, process.execPath, '-e', script];
    this.#inside = spawn('/usr/sbin/ip', enter, { stdio: 'ignore' });
    this.#server = createServer({ allowHalfOpen: true }, (from) => {
      const to = connect({ path, allowHalfOpen: true });
      for (const [a, b] of [
        [from, to],
        [to, from],
      ] as const)
        a.on('error', () => b.destroy()).pipe(b);
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    await waitFor('the way to the far side', DOOR_LIMIT_MS, () => existsSync(path));
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on nothing passes the cable, and nobody is told. */
  cut(): void {
    dropAll('ip', 'netns', 'exec', this.#name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.close();
    if (this.#inside?.exitCode === null) {
      this.#inside.kill('SIGKILL');
      await once(this.#inside, 'exit');
    }
    run('ip', 'netns', 'delete', this.#name);
    this.#directory[Symbol.dispose]();
  }
}

/** Cuts a container of the engine off: it goes on, and nothing passes either way. */
export function cutContainerOff(pid: number): void {
  requirePrograms('nsenter', 'iptables');
  dropAll('nsenter', `--net=/proc/${pid}/ns/net`);
}

function dropAll(...enter: readonly [string, ...string[]]): void {
  const [program, ...args] = enter;
  for (const chain of ['INPUT', 'OUTPUT']) run(program, ...args, 'iptables', '-w', '-A', chain, '-j', 'DROP');
}

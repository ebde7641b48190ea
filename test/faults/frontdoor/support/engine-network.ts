import { randomBytes, randomInt } from 'node:crypto';
import { requirePrograms, requireRoot, run } from '../../support/programs.ts';

const DEVICE = 'eth0';

/**
 * The network of an engine of a test's own: apart from that of this machine and its engine, and reached from here by one cable, so that
 * containers are dialled at their own addresses. It outlives the engine, as a machine's network does. Dispose to remove it.
 */
export class EngineNetwork implements Disposable {
  /** The addresses that the engine gives to its networks. */
  readonly addressPool: string;
  readonly #name = `cm-${randomBytes(3).toString('hex')}`;

  constructor() {
    requireRoot();
    requirePrograms('ip', 'nsenter');
    // Whoever else does the same on this machine draws others.
    const base = `10.${randomInt(128, 255)}.${randomInt(0, 128) * 2}`;
    this.addressPool = `${base.replace(/\d+$/, (third) => String(Number(third) + 1))}.0/24`;
    run('ip', 'netns', 'add', this.#name);
    run('ip', 'link', 'add', this.#name, 'type', 'veth', 'peer', 'name', DEVICE, 'netns', this.#name);
    run('ip', 'address', 'add', `${base}.1/30`, 'dev', this.#name);
    run('ip', 'link', 'set', this.#name, 'up');
    run('ip', '-n', this.#name, 'address', 'add', `${base}.2/30`, 'dev', DEVICE);
    for (const device of ['lo', DEVICE]) run('ip', '-n', this.#name, 'link', 'set', device, 'up');
    run('ip', 'route', 'add', this.addressPool, 'via', `${base}.2`, 'dev', this.#name);
  }

  /** What a command is started with to run in here. `ip netns exec` would give it mounts of its own, which containers need to share. */
  get launcher(): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.#name}`];
  }

  [Symbol.dispose](): void {
    run('ip', 'netns', 'delete', this.#name);
  }
}

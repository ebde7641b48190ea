import { SingleFlight } from '../../kernel/single-flight.ts';
import type { EngineCalls } from './call.ts';
import type { DockerSettings } from './options.ts';
import { hasStatus } from './translate-error.ts';
import { inspectNetwork } from './untyped-calls.ts';

/** Beyond that many, the oldest is asked for again when it is needed. */
const MAX_KNOWN_NETWORKS = 256;

/** Marks a network as made by us. */
const NETWORK_LABEL = 'container-manager.network';

/** Sees to it that the networks which plans name are there, at the price of one look each. */
export class EngineNetworks {
  readonly #calls: EngineCalls;
  readonly #settings: DockerSettings;
  readonly #known = new Set<string>();
  readonly #making = new SingleFlight<string, void>();

  constructor(calls: EngineCalls, settings: DockerSettings) {
    this.#calls = calls;
    this.#settings = settings;
  }

  /** Whether there is nothing left to do for it. */
  isReady(name: string): boolean {
    return name === 'none' || this.#known.has(name);
  }

  /** Makes it when it is absent. One that is there is taken as it is, whoever made it. */
  async ensure(name: string): Promise<void> {
    if (this.isReady(name)) return;
    await this.#making.run(name, () => this.#make(name));
    const oldest = this.#known.size >= MAX_KNOWN_NETWORKS ? this.#known.values().next().value : undefined;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.add(name);
  }

  /** After the engine said that it is missing. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  async #make(name: string): Promise<void> {
    if (await this.#exists(name)) return;
    const limit = { kind: 'network', limitMs: this.#settings.callTimeoutMs } as const;
    try {
      await this.#calls.run({ ...limit, what: `make network ${name}` }, (docker, abortSignal) =>
        docker.createNetwork({
          Name: name,
          Driver: 'bridge',
          CheckDuplicate: true,
          Attachable: false,
          Labels: { [NETWORK_LABEL]: 'true' },
          // Jobs do not reach each other.
          Options: { 'com.docker.network.bridge.enable_icc': 'false' },
          abortSignal,
        }),
      );
    } catch (error) {
      // Another node on this host was quicker.
      if (!hasStatus(error, 409)) throw error;
    }
  }

  async #exists(name: string): Promise<boolean> {
    const options = {
      kind: 'network',
      what: `look for network ${name}`,
      limitMs: this.#settings.callTimeoutMs,
    } as const;
    try {
      await this.#calls.run(options, (docker, abortSignal) => inspectNetwork(docker, name, abortSignal));
      return true;
    } catch (error) {
      if (hasStatus(error, 404)) return false;
      throw error;
    }
  }
}

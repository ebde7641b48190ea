import Docker from 'dockerode';
import { z } from 'zod';
import { SingleFlight } from '../../kernel/single-flight.ts';
import { RuntimeError } from '../errors.ts';
import { decode } from './decode.ts';
import { type EngineAddress, findEngine } from './engine-host.ts';
import type { DockerSettings } from './options.ts';
import { translateError } from './translate-error.ts';
import { type Agents, installTransport, makeAgents } from './transport.ts';
import { askVersion } from './untyped-calls.ts';

/** Engine 19.03. Older ones know no `Init`, no `since` in events and no capabilities as they are asked for here. */
const OLDEST_API_MINOR = 40;
/** What this driver was written and tested for; a newer engine is spoken to as if it were this one. */
const NEWEST_API_MINOR = 47;

const versionReply = z.object({
  Version: z.string(),
  ApiVersion: z.string(),
  MinAPIVersion: z.string().optional(),
  Arch: z.string().default('unknown'),
  Components: z.array(z.object({ Name: z.string() })).nullish(),
});
export type VersionReply = z.infer<typeof versionReply>;

export function decodeVersion(reply: unknown): VersionReply {
  return decode(versionReply, reply, 'version');
}

/**
 * The way to the engine: found at the first call that it answers, and kept from then on, since an engine elsewhere has
 * other containers. Its API version is agreed on again after it has been away: a newer one may have come back.
 */
export class EngineConnection implements Disposable {
  readonly #settings: DockerSettings;
  readonly #connecting = new SingleFlight<'engine', Docker>();
  #agents: Agents | undefined;
  /** The socket on which an engine has answered, where it had to be looked for. */
  #foundHost: string | undefined;
  #docker: Docker | undefined;

  constructor(settings: DockerSettings) {
    this.#settings = settings;
  }

  /** The client in use; undefined before the first call and after the engine went away. */
  get current(): Docker | undefined {
    return this.#docker;
  }

  /** Shared by all who wait for it; given up when the last of them leaves. */
  connect(signal: AbortSignal): Promise<Docker> {
    return this.#connecting.run('engine', (shared) => this.#connect(shared), signal);
  }

  /** After the connection failed: the next call asks the engine anew. */
  forget(docker: Docker): void {
    if (this.#docker === docker) this.#docker = undefined;
  }

  [Symbol.dispose](): void {
    this.#docker = undefined;
    this.#agents?.[Symbol.dispose]();
  }

  async #connect(signal: AbortSignal): Promise<Docker> {
    try {
      const address = await findEngine(this.#foundHost ?? this.#settings.host, this.#settings.env);
      const agents = this.#agentsFor('protocol' in address && address.protocol === 'https');
      const unversioned = makeClient(address, agents, undefined);
      const version = agreeOnVersion(decodeVersion(await askVersion(unversioned, signal)));
      if ('socketPath' in address) this.#foundHost = `unix://${address.socketPath}`;
      this.#docker = makeClient(address, agents, version);
      return this.#docker;
    } catch (error) {
      const translated = translateError(error, 'network', 'asking the engine for its version');
      // Whatever it says to this question: it is no engine to work with, and one may be there later.
      throw new RuntimeError('engine_unavailable', translated.message, { cause: error });
    }
  }

  /** Kept while the engine is asked anew: streams of before may still be read. */
  #agentsFor(isSecure: boolean): Agents {
    if (this.#agents?.isSecure !== isSecure) {
      this.#agents?.[Symbol.dispose]();
      this.#agents = makeAgents(isSecure);
    }
    return this.#agents;
  }
}

function makeClient(address: EngineAddress, agents: Agents, version: string | undefined): Docker {
  // Left out, host and certificates would be taken from the environment once more, by other rules.
  const blank = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined };
  const { ca, cert, key, ...rest }: Docker.DockerOptions = address;
  const tls = ca === undefined || cert === undefined || key === undefined ? {} : { ca, cert, key };
  const docker = new Docker({ ...blank, protocol: 'http', ...rest, ...tls, version });
  installTransport(docker, agents);
  return docker;
}

/** The newest version that both sides know, as a path element: `v1.41`. */
export function agreeOnVersion(reply: VersionReply): string {
  const newest = minorOf(reply.ApiVersion);
  const oldest = reply.MinAPIVersion === undefined ? 0 : minorOf(reply.MinAPIVersion);
  if (newest < OLDEST_API_MINOR) {
    throw new RuntimeError(
      'engine_unavailable',
      `the Docker Engine ${reply.Version} speaks API ${reply.ApiVersion}, which is too old; ` +
        `at least 1.${OLDEST_API_MINOR} (Engine 19.03) is needed`,
    );
  }
  return `v1.${Math.max(Math.min(newest, NEWEST_API_MINOR), oldest)}`;
}

function minorOf(apiVersion: string): number {
  const match = /^1\.(\d{1,3})$/.exec(apiVersion);
  if (match === null) {
    throw new RuntimeError(
      'engine_unavailable',
      `the engine speaks API ${apiVersion.slice(0, 32)}, which is not known`,
    );
  }
  return Number(match[1]);
}

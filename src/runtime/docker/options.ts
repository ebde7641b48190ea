import { type Clock, systemClock } from '../../kernel/clock.ts';

export interface DockerDriverOptions {
  /** `unix:///path`, `tcp://host:port` or `https://host:port`; otherwise `DOCKER_HOST`, otherwise the usual sockets. */
  readonly host?: string | undefined;
  /** For one ordinary call. Default one minute. */
  readonly callTimeoutMs?: number | undefined;
  /** For a whole pull. Default 30 minutes. */
  readonly pullTimeoutMs?: number | undefined;
  /** For a pull during which nothing moves. Default two minutes. */
  readonly pullInactivityMs?: number | undefined;
}

export interface DockerDriverDeps {
  readonly clock?: Clock;
  /** Where `DOCKER_HOST`, `DOCKER_CONFIG`, `DOCKER_CERT_PATH` and the like are read. Default the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The options with nothing left open. */
export interface DockerSettings {
  readonly host: string | undefined;
  readonly callTimeoutMs: number;
  readonly pullTimeoutMs: number;
  readonly pullInactivityMs: number;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function toSettings(options: DockerDriverOptions, deps: DockerDriverDeps): DockerSettings {
  return {
    host: options.host,
    callTimeoutMs: options.callTimeoutMs ?? 60_000,
    pullTimeoutMs: options.pullTimeoutMs ?? 30 * 60_000,
    pullInactivityMs: options.pullInactivityMs ?? 2 * 60_000,
    clock: deps.clock ?? systemClock,
    env: deps.env ?? process.env,
  };
}

import type Docker from 'dockerode';

/** Calls that dockerode makes abortable although its types do not say so. */
interface TakesOptions {
  version(options: object): Promise<unknown>;
  inspect(options: object): Promise<unknown>;
}

export function askVersion(docker: Docker, abortSignal: AbortSignal): Promise<unknown> {
  return (docker as unknown as TakesOptions).version({ abortSignal });
}

export function inspectNetwork(docker: Docker, name: string, abortSignal: AbortSignal): Promise<unknown> {
  return (docker.getNetwork(name) as unknown as TakesOptions).inspect({ abortSignal });
}

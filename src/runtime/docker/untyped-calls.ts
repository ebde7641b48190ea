import type { IncomingMessage } from 'node:http';
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

export function inspectImage(docker: Docker, name: string, abortSignal: AbortSignal): Promise<unknown> {
  return (docker.getImage(name) as unknown as TakesOptions).inspect({ abortSignal });
}

/** The reply itself, since its head says where a link leads. */
export async function getArchive(
  docker: Docker,
  id: string,
  path: string,
  abortSignal: AbortSignal,
): Promise<IncomingMessage> {
  const options: object = { _query: { path }, abortSignal };
  return (await docker.getContainer(id).getArchive(options as { path: string })) as IncomingMessage;
}

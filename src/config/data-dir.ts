import { isAbsolute, join } from 'node:path';

/** What a default that depends on the machine is made from. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly isRoot: boolean;
}

/** Where a node keeps its data unless told otherwise: the system's place for root, the user's own otherwise. */
export function defaultDataDir({ env, homeDir, isRoot }: Surroundings): string {
  if (isRoot) return '/var/lib/container-manager';
  // A relative XDG path is to be ignored, says its specification.
  const dataHome = env['XDG_DATA_HOME'];
  const base = dataHome !== undefined && isAbsolute(dataHome) ? dataHome : join(homeDir, '.local', 'share');
  return join(base, 'container-manager');
}

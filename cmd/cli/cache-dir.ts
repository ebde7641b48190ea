import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Where compiled code is kept: a directory of this user. The default of Node.js lies in the directory for temporary
 * files, where another user could put code of theirs for us to run.
 */
export function cacheDir(env: Readonly<Record<string, string | undefined>>): string {
  const base = env['XDG_CACHE_HOME'];
  const cacheHome = base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache');
  return join(cacheHome, 'container-manager');
}

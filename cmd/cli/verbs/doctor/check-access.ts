import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Config } from '../../../../src/config/settings.ts';
import { ok, warn, type Finding } from './finding.ts';
import { tokenOf, type ClientOptions } from '../../client-options.ts';
import type { Cli } from '../../cli.ts';

/** Who will be served, and whether the client's own token is kept well. */
export async function* checkAccess(
  config: Pick<Config, 'auth.mode' | 'auth.tokens' | 'listen_address'>,
  options: ClientOptions,
  cli: Cli,
): AsyncGenerator<Finding> {
  yield checkServed(config);
  if (options.tokenFile !== undefined) yield await checkTokenFile(options.tokenFile);
  else if (options.token !== undefined) {
    yield warn('token', 'other users of this host can see --token', 'give it with --token-file');
  } else if (tokenOf(options, cli) !== undefined) yield ok('token', 'taken from CONTAINER_MANAGER_TOKEN');
}

function checkServed(config: Pick<Config, 'auth.mode' | 'auth.tokens' | 'listen_address'>): Finding {
  const count = config['auth.tokens'].length;
  if (config['auth.mode'] === 'none') {
    const text = 'everybody who can connect is served, and can run anything on this host';
    return warn('access', text, 'set auth.mode to tokens');
  }
  if (count > 0) return ok('access', `this host, and clients with one of ${count} tokens`);
  const listen = config.listen_address;
  const isLocal =
    listen === 'localhost' || listen === '::1' || (isIP(listen) === 4 && listen.startsWith('127.'));
  const note = isLocal ? '' : `; others can connect to ${listen} and are refused`;
  return ok('access', `this host only, because no token is configured${note}`);
}

/** Bits by which others than the owner may read a file. */
const READ_BY_OTHERS = 0o044;

async function checkTokenFile(path: string): Promise<Finding> {
  const { mode } = await stat(path);
  if ((mode & READ_BY_OTHERS) === 0) return ok('token', `taken from ${path}`);
  return warn('token', `other users can read ${path}`, `chmod 600 ${path}`);
}

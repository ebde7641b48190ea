import type { Config } from '../../../../src/config/settings.ts';
import { messageOf } from '../../../../src/kernel/errors.ts';
import type { Cli } from '../../cli.ts';
import type { ClientOptions } from '../../client-options.ts';
import { checkAccess } from './check-access.ts';
import { checkCatalog } from './check-catalog.ts';
import { checkClock } from './check-clock.ts';
import { checkDataDir } from './check-data-dir.ts';
import { checkEngine } from './check-engine.ts';
import { checkNodeVersion } from './check-node-version.ts';
import { checkPeers } from './check-peers.ts';
import { checkPort } from './check-port.ts';
import { fail, ok, type Finding } from './finding.ts';

/** Every check, one after the other, each as soon as it is done. A check that itself fails is a finding. */
export async function* examine(
  options: ClientOptions & { readonly config?: string },
  cli: Cli,
): AsyncGenerator<Finding> {
  yield checkNodeVersion(process.versions.node);
  let config: Config;
  try {
    const { readConfig } = await import('../../read-config.ts');
    const { config: file } = options;
    ({ config } = readConfig({ env: cli.env, ...(file !== undefined && { configFile: file }) }));
    yield ok('configuration', file === undefined ? 'right' : `${file} is right`);
  } catch (error) {
    yield fail('configuration', messageOf(error), 'mend it; see container-manager config reference');
    return;
  }
  yield* checkDataDir(config.data_dir);
  yield* checkEngine(config['docker.host'], cli.env);
  yield checkClock(cli.nowMs());
  yield await checkPort(config, options, cli);
  yield await checkPeers(config, options, cli);
  yield* checkCatalog(options, cli);
  yield* checkAccess(config, options, cli);
}

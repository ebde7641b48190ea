import { RpcError } from '../../../../src/api/client.ts';
import type { Cli } from '../../cli.ts';
import { clientOf, type ClientOptions } from '../../client-options.ts';
import { ok, warn, type Finding } from './finding.ts';

const NODE_TIMEOUT_MS = 3_000;

/** How the controllers of a running node stand; nothing where none can be asked, which another check tells. */
export async function* checkCatalog(options: ClientOptions, cli: Cli): AsyncGenerator<Finding> {
  try {
    const timing = { timeoutMs: NODE_TIMEOUT_MS };
    const { controllers, problem } = await clientOf(options, cli).call('ControllerService.List', {}, timing);
    const invalid = controllers.filter(({ is_valid: isValid }) => !isValid).length;
    if (problem !== undefined)
      yield warn('controllers', problem.message, 'mend the file; what it held before is in force meanwhile');
    else if (invalid > 0) {
      const text = `${invalid} of ${controllers.length} not valid: no connection is led to them`;
      yield warn('controllers', text, 'see why: container-manager controllers');
    } else
      yield ok('controllers', controllers.length === 0 ? 'none' : `${controllers.length}, all of them valid`);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
  }
}

import { RpcError } from '../../../../src/api/client.ts';
import type { Config } from '../../../../src/config/settings.ts';
import { messageOf } from '../../../../src/kernel/errors.ts';
import type { Cli } from '../../cli.ts';
import { addressOf, clientOf, type ClientOptions } from '../../client-options.ts';
import { fail, ok, warn, type Finding } from './finding.ts';
import { listenOnce } from './listen-once.ts';

const NODE_TIMEOUT_MS = 3_000;

/** Whether a node answers at the address, or could listen on its port. */
export async function checkPort(
  config: Pick<Config, 'listen_address' | 'port'>,
  options: ClientOptions,
  cli: Cli,
): Promise<Finding> {
  const client = clientOf(options, cli);
  const { address } = client;
  try {
    const { version, engine } = await client.call(
      'SystemService.Version',
      {},
      { timeoutMs: NODE_TIMEOUT_MS },
    );
    return ok(
      'node',
      `${version} answers at ${address}${engine === undefined ? ', but its engine does not' : ''}`,
    );
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (isRefusal(error))
      return warn('node', `one answers at ${address}: ${error.message}`, 'see access, below');
    const isElsewhere =
      options.address !== undefined || addressOf(options, cli) !== addressOf({}, { ...cli, env: {} });
    if (isElsewhere) return warn('node', error.message, 'start a node there, or give another --address');
    return checkListening(config);
  }
}

function isRefusal({ code }: RpcError): boolean {
  return (
    code === 'unauthenticated' || code === 'forbidden' || code === 'misdirected' || code === 'too_many_tries'
  );
}

async function checkListening({
  listen_address: host,
  port,
}: Pick<Config, 'listen_address' | 'port'>): Promise<Finding> {
  try {
    await listenOnce(host, port);
    return ok('port', `${port} is free; no node runs yet`);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'EADDRINUSE') {
      return fail(
        'port',
        `${port} is taken by something that is not a node`,
        'stop that, or give another --port',
      );
    }
    return fail('port', messageOf(error), 'give another --listen-address or --port');
  }
}

import { Argument } from 'commander';
import type { RpcClient } from '../../../src/api/client.ts';
import type { SessionView } from '../../../src/api/wire.ts';
import { CodedError } from '../../../src/kernel/errors.ts';
import { PROGRAM, type Cli, type DefineVerb } from '../cli.ts';
import { UsageError } from '../cli-error.ts';
import {
  addClientOptions,
  clientOf,
  outputFormat,
  type ClientOptions,
  type OutputFormat,
} from '../client-options.ts';
import { shortIds } from '../job-ids.ts';
import { printRows, printValue } from '../output.ts';
import { ago, bytes } from '../screen/format.ts';
import { printable } from '../screen/printable.ts';
import type { Column } from '../screen/table.ts';

/** Ids of connections are random from their first character on. */
const MIN_SHORT_ID_LENGTH = 8;

/** Connections listed for a beginning that several have. */
const MAX_CANDIDATES = 10;

interface Surroundings {
  readonly cli: Cli;
  readonly client: RpcClient;
  readonly format: OutputFormat;
}

export const defineConnections: DefineVerb = (command, cli) => {
  command
    .description(
      'List the clients that are led to containers of the node that is asked, or end a connection.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(['ls', 'close']).default('ls'))
    .argument('[connection]', 'with close: id of a connection, or a beginning of it that no other has');
  addClientOptions(command);
  command.action((action: 'ls' | 'close', id: string | undefined) => {
    const options = command.opts<ClientOptions>();
    const surroundings = { cli, client: clientOf(options, cli), format: outputFormat(options, cli) };
    if (action === 'close') return close(id, surroundings);
    if (id !== undefined) throw new UsageError('ls lists every connection');
    return list(surroundings);
  });
};

async function list({ cli, client, format }: Surroundings): Promise<void> {
  const { sessions } = await client.call('SessionService.List', {});
  // Whoever counts lines of the output must not count this one.
  if (format === 'table' && sessions.length === 0) return cli.terminal.err.write('Nobody is connected.\n');
  await printRows(cli, format, sessions, columnsOf(sessions, cli.nowMs()));
}

function columnsOf(sessions: readonly SessionView[], nowMs: number): readonly Column<SessionView>[] {
  const ids = shortIds(
    sessions.map(({ session_id }) => session_id),
    MIN_SHORT_ID_LENGTH,
  );
  const jobs = shortIds(sessions.map(({ job_id }) => job_id));
  return [
    { header: 'CONNECTION', value: ({ session_id: id }) => ids.get(id) ?? id },
    { header: 'CLIENT', value: ({ client }) => client },
    { header: 'CONTROLLER', value: ({ controller = '' }) => controller, minWidth: 12, isOptional: true },
    { header: 'JOB', value: ({ job_id: id }) => jobs.get(id) ?? id },
    { header: 'SINCE', value: ({ opened_at: at }) => ago(at, nowMs) },
    { header: 'RECEIVED', value: ({ received_bytes: count }) => bytes(count), align: 'right' },
    { header: 'SENT', value: ({ sent_bytes: count }) => bytes(count), align: 'right' },
  ];
}

async function close(text: string | undefined, { cli, client, format }: Surroundings): Promise<void> {
  if (text === undefined) throw new UsageError('close needs the id of a connection');
  const closed = await client.call('SessionService.Close', { session_id: await resolveId(client, text) });
  if (format !== 'table') return printValue(cli, format, closed);
  await cli.terminal.out.write(`${printable(closed.session_id)}  closed\n`);
}

class NoSuchConnectionError extends CodedError<'not_found'> {
  override readonly name = 'NoSuchConnectionError';

  constructor(text: string) {
    super('not_found', `no connection has an id that begins with ${JSON.stringify(text)}`, {
      details: { next_step: `see the connections there are: ${PROGRAM} connections` },
    });
  }
}

/** The id that `text` is, or is the only connection's beginning of. */
async function resolveId(client: RpcClient, text: string): Promise<string> {
  const prefix = text.toLowerCase();
  const { sessions } = await client.call('SessionService.List', {});
  const found = prefix === '' ? [] : sessions.filter(({ session_id }) => session_id.startsWith(prefix));
  const [first, second] = found;
  if (first === undefined) throw new NoSuchConnectionError(text);
  if (second === undefined) return first.session_id;
  const listed = found
    .slice(0, MAX_CANDIDATES)
    .map(({ session_id, client: address }) => `  ${printable(`${session_id}  ${address}`)}`);
  const more = found.length > MAX_CANDIDATES ? ['  and more'] : [];
  throw new UsageError(
    [`${prefix} is the beginning of several connections' ids:`, ...listed, ...more].join('\n'),
    'give more characters of the id',
  );
}

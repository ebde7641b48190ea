import { setTimeout as delay } from 'node:timers/promises';
import type { RpcClient } from '../../../src/api/client.ts';
import type { StatsView } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { JOB_ARGUMENT, resolveJobId, shortIds } from '../job-ids.ts';
import { printRows } from '../output.ts';
import { percent, shortBytes } from '../screen/format.ts';
import { renderTable, type Column } from '../screen/table.ts';

interface StatsOptions extends ClientOptions {
  readonly stream: boolean;
}

/** Between two looks. The engine itself samples once a second. */
const INTERVAL_MS = 1_000;
/** The engine takes up to two seconds for a sample. */
const SAMPLE_TIMEOUT_MS = 30_000;

export const defineStats: DefineVerb = (command, cli) => {
  command
    .description(
      'Show what the containers of running jobs use: on a terminal again and again until Ctrl-C, once anywhere else. With --output ndjson it goes on everywhere.',
    )
    .argument('[job]', JOB_ARGUMENT)
    .option('--no-stream', 'only once');
  addClientOptions(command);
  command.action((job: string | undefined) => stats(job, command.opts<StatsOptions>(), cli));
};

async function stats(text: string | undefined, options: StatsOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const client = clientOf(options, cli);
  const params = text === undefined ? {} : { job_id: await resolveJobId(client, text) };
  if (options.stream && format === 'table' && cli.terminal.out.isTty) return showLive(client, params, cli);
  for (;;) {
    const samples = await sample(client, params);
    await printRows(cli, format, samples, statsColumns(samples));
    if (!options.stream || format !== 'ndjson') return;
    await delay(INTERVAL_MS);
  }
}

async function sample(client: RpcClient, params: { job_id?: string }): Promise<readonly StatsView[]> {
  const { stats: samples } = await client.call('ContainerService.Stats', params, {
    timeoutMs: SAMPLE_TIMEOUT_MS,
  });
  return samples;
}

const CLEAR_SCREEN = '\u001b[2J';
const CURSOR_HOME = '\u001b[H';
const ERASE_REST_OF_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

/** The whole picture goes out in one write, over the one before, so that nothing flickers. */
async function showLive(client: RpcClient, params: { job_id?: string }, cli: Cli): Promise<never> {
  const { out } = cli.terminal;
  await out.write(CLEAR_SCREEN);
  for (;;) {
    const samples = await sample(client, params);
    const table = renderTable(statsColumns(samples), samples, { screenWidth: out.width, paint: out.paint });
    const note = samples.length === 0 ? 'No container runs.\n' : '';
    const lines = `${table}${note}`.split('\n').slice(0, (out.height ?? Number.MAX_SAFE_INTEGER) - 1);
    await out.write(CURSOR_HOME + lines.join(`${ERASE_REST_OF_LINE}\n`) + ERASE_BELOW);
    await delay(INTERVAL_MS);
  }
}

function statsColumns(samples: readonly StatsView[]): readonly Column<StatsView>[] {
  const ids = shortIds(samples.map(({ job_id }) => job_id));
  const pair = (first: number, second: number): string => `${shortBytes(first)} / ${shortBytes(second)}`;
  return [
    { header: 'JOB', value: ({ job_id }) => ids.get(job_id) ?? job_id },
    { header: 'NAME', value: ({ name }) => name ?? '', minWidth: 6, isOptional: true },
    { header: 'CPU', value: ({ cpus }) => `${(cpus * 100).toFixed(1)}%`, align: 'right' },
    {
      header: 'MEM / LIMIT',
      value: (row) => pair(row.memory_bytes, row.memory_limit_bytes),
      align: 'right',
    },
    { header: 'MEM%', value: (row) => percent(row.memory_bytes, row.memory_limit_bytes), align: 'right' },
    {
      header: 'NET I/O',
      value: (row) => pair(row.network_received_bytes, row.network_sent_bytes),
      align: 'right',
    },
    {
      header: 'BLOCK I/O',
      value: (row) => pair(row.block_read_bytes, row.block_written_bytes),
      align: 'right',
    },
    { header: 'PIDS', value: ({ pids }) => String(pids), align: 'right' },
  ];
}

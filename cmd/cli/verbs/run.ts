import type { RpcClient } from '../../../src/api/client.ts';
import type { CreateParams } from '../../../src/api/wire.ts';
import type { Cli, DefineVerb } from '../cli.ts';
import { ExitRequest, UsageError } from '../cli-error.ts';
import { addClientOptions, clientOf, outputFormat, type ClientOptions } from '../client-options.ts';
import { EXIT_CODES, exitCodeOfJob } from '../exit-codes.ts';
import { durationMs } from '../option-values.ts';
import { printValue } from '../output.ts';
import { printable } from '../screen/printable.ts';
import { resolveNodeId } from '../resolve-node.ts';
import { addSpecOptions, type SpecOptions } from '../spec/spec-options.ts';
import { specOf } from '../spec/spec-of.ts';
import { waitForJob } from '../wait-for-job.ts';

interface RunOptions extends ClientOptions, SpecOptions {
  readonly follow?: true;
  readonly wait?: true;
  readonly waitTimeout?: number;
}

/** Places that are no node. */
const PLACES: ReadonlySet<string> = new Set(['local', 'any', 'every']);

/** How long `--wait` waits unless it is told otherwise. */
const DEFAULT_WAIT_MS = 300_000;

const NOTES = `
Everything after IMAGE belongs to the container. Without --follow and --wait the
id of the job is printed as soon as the node has it for good.

With --follow, Ctrl-C stops the job; a second Ctrl-C leaves it to the node. The
exit code is that of the container when it failed, 0 when the job is complete,
and 1 when it could not be deployed.`;

export const defineRun: DefineVerb = (command, cli) => {
  command
    .description('Deploy a container as a job.')
    .argument('<image>', 'image to run')
    .argument('[arg...]', 'arguments of the container')
    .passThroughOptions()
    .option(
      '-f, --follow',
      'show its status on stderr and its output until it ends, and end with its exit code',
    )
    .option('-w, --wait', 'wait until it runs or has ended')
    .option('--wait-timeout <duration>', 'with --wait: no longer than this (default "5m")', durationMs);
  addSpecOptions(command);
  addClientOptions(command);
  command.addHelpText('after', NOTES);
  command.action((image: string, args: readonly string[]) =>
    run(image, args, command.opts<RunOptions>(), cli),
  );
};

async function run(image: string, args: readonly string[], options: RunOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  if (options.follow === true && options.wait === true)
    throw new UsageError('--follow waits already: leave out --wait');
  const params: CreateParams = specOf(image, args, options, cli.env);
  if (options.waitTimeout !== undefined && options.wait !== true)
    throw new UsageError('--wait-timeout goes with --wait');
  const client = clientOf(options, cli);
  const created = await client.call('ContainerService.Create', await placed(client, params));
  if (options.follow === true) return follow(client, created.job_id, cli);
  if (format === 'table') await cli.terminal.out.write(`${printable(created.job_id)}\n`);
  else await printValue(cli, format, created);
  if (options.wait === true) await wait(client, created.job_id, options.waitTimeout ?? DEFAULT_WAIT_MS, cli);
}

/** Words are the node's to understand; a node may be named as it is everywhere else. */
async function placed(client: RpcClient, params: CreateParams): Promise<CreateParams> {
  const { placement } = params;
  if (placement === undefined || PLACES.has(placement)) return params;
  return { ...params, placement: await resolveNodeId(client, placement) };
}

/** Standard output is the container's own, so the id goes where the status goes. */
async function follow(client: RpcClient, jobId: string, cli: Cli): Promise<void> {
  const { runAttached } = await import('../follow/run-attached.ts');
  await cli.terminal.err.write(`job ${printable(jobId)}\n`);
  await runAttached(client, jobId, cli.terminal);
}

async function wait(client: RpcClient, jobId: string, timeout: number, cli: Cli): Promise<void> {
  const job = await waitForJob(client, jobId, { until: 'running', timeout });
  const isUp = job.status === 'running' || job.status === 'stopping';
  const exitCode = isUp ? EXIT_CODES.ok : exitCodeOfJob(job);
  const why = job.message === undefined ? '' : `: ${job.message}`;
  if (exitCode !== EXIT_CODES.ok)
    await cli.terminal.err.write(`${printable(`the job is ${job.status}${why}`)}\n`);
  throw new ExitRequest(exitCode);
}

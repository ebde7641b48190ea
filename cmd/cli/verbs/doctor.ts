import type { Cli, DefineVerb } from '../cli.ts';
import { ExitRequest } from '../cli-error.ts';
import { addClientOptions, outputFormat, type ClientOptions } from '../client-options.ts';
import { examine } from './doctor/examine.ts';
import type { Finding } from './doctor/finding.ts';
import { EXIT_CODES } from '../exit-codes.ts';
import { printRows } from '../output.ts';
import { printable } from '../screen/printable.ts';
import type { Style } from '../screen/style.ts';
import { wrap } from '../screen/table.ts';

interface DoctorOptions extends ClientOptions {
  readonly config?: string;
}

export const defineDoctor: DefineVerb = (command, cli) => {
  command
    .description(
      'See whether a node can work on this host, and whether one does: each finding comes with what to do about it. Nothing is changed. The exit code is 1 when something has to be mended.',
    )
    .option('--config <file>', "the node's YAML file, or $CONTAINER_MANAGER_CONFIG");
  addClientOptions(command);
  command.action(() => doctor(command.opts<DoctorOptions>(), cli));
};

async function doctor(options: DoctorOptions, cli: Cli): Promise<void> {
  const format = outputFormat(options, cli);
  const findings: Finding[] = [];
  for await (const finding of examine(options, cli)) {
    findings.push(finding);
    if (format === 'table') await printFinding(cli, finding);
  }
  if (format !== 'table') await printRows(cli, format, findings, []);
  const failed = findings.filter(({ verdict }) => verdict === 'fail').length;
  if (format === 'table') await printSummary(cli, findings, failed);
  if (failed > 0) throw new ExitRequest(EXIT_CODES.failed);
}

const STYLES: Readonly<Record<Finding['verdict'], Style>> = { ok: 'green', warn: 'yellow', fail: 'red' };
const INDENT = ' '.repeat('warn  '.length);
const DEFAULT_WIDTH = 100;

async function printFinding(cli: Cli, { verdict, name, text, remedy }: Finding): Promise<void> {
  const { out } = cli.terminal;
  const room = Math.max(20, (out.width ?? DEFAULT_WIDTH) - INDENT.length);
  const lines = wrap(printable(`${name}: ${text}`), room);
  await out.write(`${out.paint(STYLES[verdict], verdict.padEnd(4))}  ${lines.join(`\n${INDENT}`)}\n`);
  if (remedy === undefined) return;
  const advice = wrap(printable(`-> ${remedy}`), room).join(`\n${INDENT}`);
  await out.write(`${INDENT}${out.paint('cyan', advice)}\n`);
}

async function printSummary(cli: Cli, findings: readonly Finding[], failed: number): Promise<void> {
  const warned = findings.filter(({ verdict }) => verdict === 'warn').length;
  const text =
    failed > 0
      ? `${failed} to mend before a node can work here.`
      : warned > 0
        ? `A node can work here; ${warned} to look at.`
        : 'Everything is as it should be.';
  await cli.terminal.out.write(`\n${text}\n`);
}

import { readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { RpcClient } from '../../src/api/client.ts';
import { messageOf } from '../../src/kernel/errors.ts';
import type { Cli } from './cli.ts';
import { UsageError } from './cli-error.ts';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml', 'ndjson'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Where a node is looked for unless told otherwise. */
export const DEFAULT_ADDRESS = 'localhost:8080';

export interface ClientOptions {
  readonly address?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly output?: OutputFormat;
}

/** The options that every command takes which asks a node. They have a group of their own in the help. */
export function clientOptions(): readonly Option[] {
  const options = [
    new Option(
      '--address <address>',
      `the node to ask, or $CONTAINER_MANAGER_ADDRESS (default "${DEFAULT_ADDRESS}")`,
    ),
    new Option('--token-file <file>', 'a file that holds the token, which no other user may read'),
    new Option(
      '--token <token>',
      'the token, or $CONTAINER_MANAGER_TOKEN; other users can see it: prefer --token-file',
    ),
    outputOption(),
  ];
  return options.map((option) => option.helpGroup('Options of every command:'));
}

export function outputOption(): Option {
  return new Option(
    '-o, --output <format>',
    'how the answer is written, or $CONTAINER_MANAGER_OUTPUT (default "table")',
  )
    .choices(OUTPUT_FORMATS)
    .helpGroup('Options of every command:');
}

export function addClientOptions(command: Command): void {
  for (const option of clientOptions()) command.addOption(option);
}

export function outputFormat(
  options: ClientOptions,
  cli: Cli,
  fallback: OutputFormat = 'table',
): OutputFormat {
  if (options.output !== undefined) return options.output;
  const fromEnv = cli.env['CONTAINER_MANAGER_OUTPUT'];
  if (fromEnv === undefined || fromEnv === '') return fallback;
  const format = OUTPUT_FORMATS.find((name) => name === fromEnv);
  if (format !== undefined) return format;
  throw new UsageError(
    `CONTAINER_MANAGER_OUTPUT ${JSON.stringify(fromEnv)} is none of ${OUTPUT_FORMATS.join(', ')}`,
  );
}

/** The client that the options and the environment describe. */
export function clientOf(options: ClientOptions, cli: Cli): RpcClient {
  const token = tokenOf(options, cli);
  return new RpcClient({ address: addressOf(options, cli), ...(token !== undefined && { token }) });
}

export function addressOf(options: ClientOptions, { env }: Cli): string {
  const fromEnv = env['CONTAINER_MANAGER_ADDRESS'];
  return options.address ?? (fromEnv === undefined || fromEnv === '' ? DEFAULT_ADDRESS : fromEnv);
}

/** The token, wherever it was given; a file counts before an argument, an argument before the environment. */
export function tokenOf(options: ClientOptions, { env, terminal }: Cli): string | undefined {
  if (options.tokenFile !== undefined) return readTokenFile(options.tokenFile);
  if (options.token !== undefined && terminal.err.isTty) {
    const warning = 'warning: other users of this machine can see --token; --token-file hides it';
    void terminal.err.write(`${terminal.err.paint('yellow', warning)}\n`);
  }
  const fromEnv = env['CONTAINER_MANAGER_TOKEN'];
  return checkToken(options.token ?? (fromEnv === '' ? undefined : fromEnv));
}

/** Longest file that can be a token's. */
const MAX_TOKEN_FILE_CHARS = 4096;

function readTokenFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`the token file cannot be read: ${messageOf(error)}`);
  }
  if (text === '' || text.length > MAX_TOKEN_FILE_CHARS)
    throw new UsageError(`${path} does not hold a token`);
  return checkToken(text) ?? '';
}

/** A header cannot carry anything else. The token itself is never shown. */
function checkToken(token: string | undefined): string | undefined {
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  throw new UsageError('the token holds characters that no token has');
}

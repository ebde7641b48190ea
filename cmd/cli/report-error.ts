import { CodedError, messageOf } from '../../src/kernel/errors.ts';
import { UsageError } from './cli-error.ts';
import { PROGRAM, type Cli } from './cli.ts';
import { EXIT_CODES, exitCodeOfError } from './exit-codes.ts';
import { elapsed } from './screen/format.ts';
import { printable, printableJson } from './screen/printable.ts';

/** What to do about each failure, where the message does not say it already. */
const NEXT_STEPS: Readonly<Record<string, string>> = {
  not_found: `see the jobs there are: ${PROGRAM} ps --all`,
  controller_not_found: `see the controllers there are: ${PROGRAM} controllers`,
  version_not_found: `see the versions there are: ${PROGRAM} controllers`,
  session_not_found: `see the connections there are: ${PROGRAM} connections`,
  ambiguous: 'name one with --version',
  catalog_unwritable: 'give the node write access to the directory of its catalog.file',
  unauthenticated: 'give a token with --token-file FILE or in CONTAINER_MANAGER_TOKEN',
  forbidden: 'use a token of full scope',
  policy_denied: `see what is allowed: ${PROGRAM} config print`,
  invalid_address: 'give an address such as localhost:8080 or https://HOST:PORT',
  timeout: `try again, or see how the node is: ${PROGRAM} doctor`,
  draining: 'wait until the node is up again, or ask another one with --address',
  peer_unreachable: `try again when that node is back; see which are: ${PROGRAM} peers`,
  bad_reply: 'see whether --address names a node and not some other program',
  engine_unavailable: `see what is wrong with the engine: ${PROGRAM} doctor`,
};

function nextStepOf(error: CodedError): string | undefined {
  if (error instanceof UsageError) return error.nextStep;
  const own = error.details['next_step'];
  if (typeof own === 'string') return own;
  if (error.retryAfterMs !== undefined) return `try again in ${elapsed(error.retryAfterMs)}`;
  return Object.hasOwn(NEXT_STEPS, error.code) ? NEXT_STEPS[error.code] : undefined;
}

/** Says what went wrong and what to do next, and returns the exit code for it. */
export async function reportError(cli: Cli, error: unknown, asJson: boolean): Promise<number> {
  const { err } = cli.terminal;
  const coded = error instanceof CodedError ? error : undefined;
  const nextStep = coded === undefined ? undefined : nextStepOf(coded);
  if (asJson) {
    await err.write(errorAsJson(error, coded, nextStep));
  } else {
    const lines = messageOf(error).split('\n').map(printable);
    await err.write(`${err.paint('red', 'error:')} ${lines.join('\n')}\n`);
    if (nextStep !== undefined) await err.write(`${err.paint('cyan', 'next:')} ${printable(nextStep)}\n`);
    // Anything that is not ours is a mistake in this program: whoever mends it needs to know where.
    if (coded === undefined && error instanceof Error)
      await err.write(`${err.paint('dim', error.stack ?? '')}\n`);
  }
  return coded === undefined ? EXIT_CODES.failed : exitCodeOfError(coded.code);
}

function errorAsJson(error: unknown, coded: CodedError | undefined, nextStep: string | undefined): string {
  const body = {
    code: coded?.code ?? 'internal_error',
    message: messageOf(error),
    ...(nextStep !== undefined && { next_step: nextStep }),
    retryable: coded?.retryable ?? false,
    ...(coded?.retryAfterMs !== undefined && { retry_after_ms: coded.retryAfterMs }),
    details: coded?.details ?? {},
  };
  return `${printableJson(JSON.stringify({ error: body }))}\n`;
}

import { startNode } from '../src/node.ts';
import { createLogger, subsystemLogger } from '../src/telemetry/logger.ts';
import { readConfig } from './cli/read-config.ts';

/** After the grace period, for what was forced to end; then the process goes whatever still hangs, ms. */
const FORCE_LIMIT_MS = 1_000;

export interface DaemonInput {
  /** By the flag's name, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly configFile?: string;
}

/**
 * Runs a node in this process until SIGTERM or SIGINT. The first signal gives up a start under way, or drains the node
 * within the grace period (exit 0, or 1 when something had to be forced), a second one forces at once. Whatever nobody caught is logged once and ends the
 * process with 1: its store is the truth to start from again.
 */
export async function runDaemon(input: DaemonInput): Promise<void> {
  const { config, notes } = readConfig({ ...input, env: process.env });
  const root = createLogger({ level: config.log_level });
  const logger = subsystemLogger(root, 'node');
  const die = (error: unknown): never => {
    logger.fatal({ err: error }, 'node ends: it cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);

  for (const note of notes) logger.warn({ note }, 'a key of the configuration means nothing any more');
  const starting = new AbortController();
  const { signal } = starting;
  const stop = async (force: AbortSignal): Promise<void> => {
    starting.abort(new DOMException('the node was told to stop', 'AbortError'));
    const node = await started.catch(() => undefined);
    await node?.stop(force);
  };
  stopOnSignals(stop, config.grace_period, logger);
  const started = startNode({ config, logger: root, onFatal: die, signal });
  await started.catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function stopOnSignals(
  stop: (force: AbortSignal) => Promise<void>,
  graceMs: number,
  logger: ReturnType<typeof createLogger>,
): void {
  const force = new AbortController();
  let isForced = false;
  const forceNow = (reason: string): void => {
    isForced = true;
    logger.warn({ reason }, 'node is forced to stop');
    force.abort();
    setTimeout(() => process.exit(1), FORCE_LIMIT_MS).unref();
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    logger.info({ signal }, 'signal received');
    if (force.signal.aborted) return process.exit(1);
    if (isStopping) return forceNow('second signal');
    isStopping = true;
    setTimeout(() => forceNow('grace period over'), graceMs).unref();
    stop(force.signal).then(
      () => process.exit(isForced ? 1 : 0),
      (error: unknown) => {
        logger.error({ err: error }, 'node did not stop cleanly');
        process.exit(1);
      },
    );
  };
  let isStopping = false;
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

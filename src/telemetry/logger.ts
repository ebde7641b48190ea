import { isatty } from 'node:tty';
import { destination as openDestination, pino } from 'pino';
import { prettyLine } from './pretty.ts';
import { safeFacts, safeMessage, type SafeOptions } from './safe-facts.ts';

/**
 * The levels, and what they mean: `fatal` the process ends; `error` something of ours failed and somebody should look;
 * `warn` something outside failed and was coped with; `info` what an operator wants to read; `debug` how it came to
 * that; `trace` every step.
 */
export const LOG_METHODS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogMethod = (typeof LOG_METHODS)[number];
export type LogLevel = LogMethod | 'silent';

/** Facts first, then a constant message. Facts are made safe on the way: nobody else needs to. */
export type Logger = { readonly [Method in LogMethod]: (facts: object, message: string) => void } & {
  /** A logger whose lines carry these facts too. */
  child(facts: object): Logger;
};

/** Where lines go. `write` returns when the line is out, so that a dying process loses none. */
export interface LogDestination {
  write(line: string): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Default: stderr, as JSON lines; one readable line each where stderr is a terminal. */
  readonly destination?: LogDestination;
}

/** A line that cannot be written must not fill the memory: beyond this many characters further lines are dropped. */
const MAX_PENDING_LENGTH = 1024 * 1024;
const STDERR = 2;

export function createLogger(options: LoggerOptions): Logger {
  const target = pino(
    {
      level: options.level,
      base: null,
      // Facts come in already safe; pino's own reading of errors would bring back what was left out.
      serializers: { err: (value: unknown) => value },
    },
    options.destination ?? stderrDestination(),
  );
  return wrap(target, { withStacks: target.isLevelEnabled('debug') });
}

/** The logger of one part of the node. */
export function subsystemLogger(logger: Logger, subsystem: Subsystem): Logger {
  return logger.child({ subsystem });
}

/** The parts that log under a name of their own. */
export const SUBSYSTEMS = [
  'node',
  'api',
  'catalog',
  'frontdoor',
  'jobs',
  'store',
  'docker',
  'peers',
  'config',
] as const;
export type Subsystem = (typeof SUBSYSTEMS)[number];

type Target = Pick<ReturnType<typeof pino>, LogMethod | 'isLevelEnabled'> & {
  child(bindings: Record<string, unknown>): Target;
};

function wrap(target: Target, options: SafeOptions): Logger {
  const method = (name: LogMethod) => {
    return (facts: object, message: string): void => {
      if (target.isLevelEnabled(name)) target[name](safeFacts(facts, options), safeMessage(message));
    };
  };
  return {
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    fatal: method('fatal'),
    // pino asks bindings for `hasOwnProperty`, so they need a prototype.
    child: (facts) => wrap(target.child({ ...safeFacts(facts, options) }), options),
  };
}

function stderrDestination(): LogDestination {
  const stream = openDestination({ dest: STDERR, sync: true, maxLength: MAX_PENDING_LENGTH });
  // With nobody left to read it, a log line is no reason to die.
  stream.on('error', () => undefined);
  if (!isatty(STDERR)) return stream;
  return { write: (line) => void stream.write(prettyLine(line)) };
}

/** Writes nothing. */
export const SILENT_LOGGER: Logger = createLogger({
  level: 'silent',
  destination: { write: () => undefined },
});

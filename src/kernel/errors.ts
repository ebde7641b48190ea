/** What every error of ours carries besides its message. */
export interface CodedErrorOptions {
  cause?: unknown;
  /** Facts for the caller: field, value, limit. Never a secret, never a stack. */
  details?: Readonly<Record<string, unknown>>;
  /** Whether the very same request may succeed later. Default false. */
  retryable?: boolean;
  /** How long to wait before that, where it is known. */
  retryAfterMs?: number;
}

/** An expected failure: a stable `code` to branch on, a message for people, facts as data. */
export abstract class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A state that our own code rules out. Nobody handles it: the process logs it and ends. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Asserts what only a mistake in our own code can break. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { messageOf } from '../../kernel/errors.ts';
import { RuntimeError, type RuntimeErrorCode } from '../errors.ts';
import { EngineStatusError, UnreadableReplyError } from './reply-errors.ts';

/** What was asked of the engine: the same status means different things to different calls. */
export type CallKind = 'query' | 'image' | 'pull' | 'create' | 'start' | 'change' | 'network';

/** Failures of the connection: nothing is known about what became of the call. */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'EACCES',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOTSOCK',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no socket; is the Docker Engine running?',
  ECONNREFUSED: 'nobody listens; is the Docker Engine running?',
  EACCES: 'no permission; may this user use the Docker socket?',
};

/**
 * The engine's words in ours; the only place where they are read. `what` says what was tried, for people. The engine
 * says some causes in its messages only; where a message is matched, that is why.
 */
export function translateError(error: unknown, kind: CallKind, what: string): RuntimeError {
  if (error instanceof RuntimeError) return error;
  if (error instanceof EngineStatusError) {
    const code = codeOfStatus(kind, error.status, error.engineMessage);
    return new RuntimeError(code, `${what}: ${error.engineMessage}`, { cause: error });
  }
  if (error instanceof UnreadableReplyError) {
    return new RuntimeError('engine_error', `${what}: ${error.message}`, { cause: error });
  }
  const systemCode = codeOf(error);
  if (systemCode !== undefined && (CONNECTION_ERRORS.has(systemCode) || systemCode.startsWith('HPE_'))) {
    const why = REMEDIES[systemCode] ?? messageOf(error);
    return new RuntimeError('engine_unavailable', `${what}: the engine cannot be reached: ${why}`, {
      cause: error,
    });
  }
  return new RuntimeError('engine_error', `${what}: ${messageOf(error)}`, { cause: error });
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function codeOfStatus(kind: CallKind, status: number, message: string): RuntimeErrorCode {
  if (status === 502 || status === 503 || status === 504) return 'engine_unavailable';
  switch (kind) {
    case 'pull':
      return codeOfPullMessage(message, status);
    case 'image':
      return status === 404 ? 'image_not_found' : codeOfRefusal(status);
    case 'create':
      if (status === 404) return /no such image/i.test(message) ? 'image_not_found' : 'invalid_plan';
      return status === 409 ? 'name_conflict' : codeOfRefusal(status);
    case 'start':
      return codeOfStart(status, message);
    case 'query':
    case 'change':
    case 'network':
      return status === 404 ? 'not_found' : codeOfRefusal(status);
  }
}

function codeOfRefusal(status: number): RuntimeErrorCode {
  return status === 400 ? 'invalid_plan' : 'engine_error';
}

function codeOfStart(status: number, message: string): RuntimeErrorCode {
  if (/port is already allocated|address already in use|ports are not available/i.test(message))
    return 'port_in_use';
  if (status === 404 && /no such container/i.test(message)) return 'not_found';
  if (status === 409 && /marked for removal|is dead/i.test(message)) return 'not_found';
  // What the image or the plan is to blame for comes as "bad request", or as words of the container runtime.
  const isOwnFault =
    /executable file not found|no such file or directory|permission denied|not a directory|exec format error/i;
  const isLookup = /unable to find user|no matching entries in passwd|unable to find group/i;
  if (status === 400 || status === 404) return 'start_failed';
  return isOwnFault.test(message) || isLookup.test(message) ? 'start_failed' : 'engine_error';
}

/** A pull's causes reach us as text, whether by status or in the middle of a stream that began with 200. */
export function codeOfPullMessage(message: string, status = 500): RuntimeErrorCode {
  if (
    /repository does not exist|manifest unknown|manifest for .* not found|name unknown|no matching manifest/i.test(
      message,
    )
  ) {
    return 'image_not_found';
  }
  if (status === 401 || status === 403) return 'image_unauthorized';
  if (
    /unauthorized|authentication required|no basic auth credentials|incorrect username|access denied|denied:/i.test(
      message,
    )
  ) {
    return 'image_unauthorized';
  }
  if (status === 404 || /not found/i.test(message)) return 'image_not_found';
  return status === 400 ? 'invalid_plan' : 'image_error';
}

/** The network that a create or start missed, where that is why it failed. */
export function missingNetworkOf(error: unknown): string | undefined {
  const cause = error instanceof RuntimeError ? error.cause : undefined;
  if (!(cause instanceof EngineStatusError) || cause.status !== 404) return undefined;
  return /\bnetwork ([A-Za-z0-9][A-Za-z0-9_.-]{0,127}) not found/.exec(cause.engineMessage)?.[1];
}

/** Whether the engine answered with this status. */
export function hasStatus(error: unknown, status: number): boolean {
  const cause = error instanceof RuntimeError ? error.cause : undefined;
  return cause instanceof EngineStatusError && cause.status === status;
}

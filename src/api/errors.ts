import { randomBytes } from 'node:crypto';
import type { CatalogErrorCode } from '../catalog/errors.ts';
import { CodedError, InvariantError } from '../kernel/errors.ts';
import type { JobErrorCode } from '../jobs/errors.ts';
import type { PeerErrorCode } from '../peers/errors.ts';
import type { RuntimeErrorCode } from '../runtime/errors.ts';
import type { ApiDependencies } from './ports.ts';
import type { RpcErrorData, RpcReason } from './wire.ts';
import { RPC_ERROR_CODES } from './wire.ts';

export type ApiErrorCode =
  'invalid_params' | 'forbidden' | 'too_many_streams' | 'reply_too_large' | 'session_not_found';

/** A request that the API itself refuses. */
export class ApiError extends CodedError<ApiErrorCode> {
  override readonly name = 'ApiError';
}

/** The JSON-RPC error and the HTTP status for each code that may reach a client. */
const REPLIES: Readonly<
  Record<
    JobErrorCode | PeerErrorCode | RuntimeErrorCode | CatalogErrorCode | ApiErrorCode,
    readonly [rpc: RpcReason, status: number]
  >
> = {
  not_found: ['not_found', 404],
  invalid_state: ['invalid_state', 409],
  invalid_spec: ['invalid_params', 400],
  invalid_params: ['invalid_params', 400],
  policy_denied: ['policy_denied', 403],
  idempotency_conflict: ['idempotency_conflict', 409],
  queue_full: ['queue_full', 503],
  draining: ['draining', 503],
  store_full: ['internal_error', 507],
  timeout: ['timeout', 504],
  cancelled: ['cancelled', 499],
  peer_unreachable: ['peer_unreachable', 503],
  peer_violation: ['internal_error', 502],
  peer_alive: ['invalid_state', 409],
  peers_disabled: ['invalid_state', 409],
  forbidden: ['forbidden', 403],
  too_many_waits: ['internal_error', 503],
  too_many_streams: ['internal_error', 503],
  reply_too_large: ['internal_error', 500],
  engine_unavailable: ['internal_error', 503],
  engine_error: ['internal_error', 502],
  name_conflict: ['invalid_state', 409],
  not_running: ['invalid_state', 409],
  image_not_found: ['image_error', 404],
  image_unauthorized: ['image_error', 403],
  image_error: ['image_error', 502],
  invalid_plan: ['invalid_params', 400],
  start_failed: ['invalid_state', 409],
  port_in_use: ['invalid_state', 409],
  controller_not_found: ['not_found', 404],
  version_not_found: ['not_found', 404],
  no_controllers: ['not_found', 404],
  controller_invalid: ['invalid_state', 409],
  bad_query: ['invalid_params', 400],
  invalid_entry: ['invalid_params', 400],
  exists: ['invalid_state', 409],
  ambiguous: ['invalid_params', 400],
  catalog_broken: ['invalid_state', 409],
  catalog_full: ['invalid_state', 409],
  catalog_unwritable: ['internal_error', 503],
  closed: ['draining', 503],
  session_not_found: ['not_found', 404],
};

/** The same code under another name, where the wire has one word for both. */
const REASON_ALIASES: Readonly<Record<string, string>> = { invalid_spec: 'invalid_params' };

/** The closer reasons that one code of JSON-RPC stands for, besides its own name. */
export function closerReasons(reason: RpcReason): readonly string[] {
  const codes = Object.entries(REPLIES).filter(([, [rpcReason]]) => rpcReason === reason);
  const shown = codes.map(([code]) => REASON_ALIASES[code] ?? code);
  return [...new Set(shown)].filter((code) => code !== reason);
}

/** An error as a client sees it, before it is put into JSON-RPC or HTTP. */
export interface ErrorReply {
  readonly code: number;
  readonly status: number;
  readonly message: string;
  readonly data: RpcErrorData;
}

/** A JSON-RPC error of the protocol itself. */
export function protocolError(
  reason: RpcReason,
  message: string,
  details: Record<string, unknown> = {},
  status = 400,
): ErrorReply {
  return { code: RPC_ERROR_CODES[reason], status, message, data: { reason, retryable: false, details } };
}

/**
 * The one place where failures become replies. Ours keep their code, message and facts; of any other nothing is told
 * but an id, under which the log has the rest.
 */
export function errorReply(
  error: unknown,
  deps: Pick<ApiDependencies, 'logger' | 'onInvariantError'>,
  facts: { readonly route: string },
): ErrorReply {
  if (error instanceof CodedError && Object.hasOwn(REPLIES, error.code)) {
    return codedReply(error, error.code as keyof typeof REPLIES);
  }
  const errorId = randomBytes(8).toString('hex');
  deps.logger.error({ err: error, errorId, ...facts }, 'request failed');
  if (error instanceof InvariantError) deps.onInvariantError(error);
  return {
    code: RPC_ERROR_CODES.internal_error,
    status: 500,
    message: `internal error ${errorId}: see the node's log`,
    data: { reason: 'internal_error', retryable: false, details: { error_id: errorId } },
  };
}

function codedReply(error: CodedError, code: keyof typeof REPLIES): ErrorReply {
  const [rpcReason, status] = REPLIES[code];
  return {
    code: RPC_ERROR_CODES[rpcReason],
    status,
    message: error.message,
    data: {
      reason: REASON_ALIASES[code] ?? code,
      retryable: error.retryable,
      ...(error.retryAfterMs !== undefined && { retry_after_ms: error.retryAfterMs }),
      details: error.details,
    },
  };
}

import { CodedError, type CodedErrorOptions } from '../../kernel/errors.ts';

/**
 * A call that failed. Its code is the `reason` that the node gave; or, on our side of the wire, `invalid_address`,
 * `unreachable` (no node answers, or the connection broke), `timeout`, `cancelled` (by the caller) or `bad_reply` (what
 * answered is no node that this client understands).
 */
export class RpcError extends CodedError {
  override readonly name = 'RpcError';
  /** The JSON-RPC error code; `undefined` when the failure is not one of a JSON-RPC call. */
  readonly rpcCode: number | undefined;

  constructor(code: string, message: string, options: CodedErrorOptions & { rpcCode?: number } = {}) {
    super(code, message, options);
    this.rpcCode = options.rpcCode;
  }

  /** The stable word for what happened. */
  get reason(): string {
    return this.code;
  }
}

import { isObject } from './json.ts';
import type { RpcResponseError } from './rpc-response.ts';

/**
 * The first version of this API was JSON-RPC 1.0, with errors as plain text. Its clients compare these texts, so they
 * stay as they were.
 */

/** A call without `jsonrpc` is one of the first protocol. */
export function isLegacy(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !Object.hasOwn(value, 'jsonrpc');
}

/** How much of a name is quoted back. */
const MAX_NAME_LENGTH = 128;

/** What is wrong with the call itself, or `undefined`. */
export function legacyProblem(
  { method, params }: Record<string, unknown>,
  methods: { has(name: string): boolean; keys(): Iterable<string> },
): string | undefined {
  const name = typeof method === 'string' ? method : '';
  const shown = JSON.stringify(name.slice(0, MAX_NAME_LENGTH));
  const [service, ...rest] = name.split('.', 3);
  if (rest.length !== 1) return `rpc: service/method request ill-formed: ${shown}`;
  if (!methods.has(name)) {
    const isService = [...methods.keys()].some((known) => known.startsWith(`${service}.`));
    return `rpc: can't find ${isService ? 'method' : 'service'} ${shown}`;
  }
  if (params === undefined || params === null) return 'rpc: method request ill-formed: missing params field';
  if (Array.isArray(params)) return undefined;
  return `json: cannot unmarshal ${jsonTypeName(params)} into Go value of type [1]interface {}`;
}

function jsonTypeName(value: unknown): string {
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** The text of an error; two of them had words of their own. */
export function legacyErrorText({ message, data }: RpcResponseError): string {
  if (data?.reason === 'not_found') return 'job not found';
  if (data?.reason === 'queue_full') return 'failed to enqueue job: job queue is full';
  return message;
}

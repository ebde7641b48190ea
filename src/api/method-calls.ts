import type { Call } from './methods/definition.ts';
import { METHODS } from './methods/table.ts';
import { isObject } from './json.ts';
import { invalidParams, readParams } from './params.ts';
import type { ApiDependencies } from './ports.ts';
import type { RpcMethod } from './rpc-endpoint.ts';

/** The table of methods as the endpoint calls it: each with its params checked first. */
export function callableMethods(deps: ApiDependencies): ReadonlyMap<string, RpcMethod> {
  return new Map(
    Object.entries(METHODS).map(([name, method]) => {
      const handle = method.handle as Handle;
      const call = (params: unknown, context: Call): unknown => {
        const sent = namedParams(params);
        return handle(readParams(method.params, sent), deps, context, sent);
      };
      return [name, { scope: method.scope, call }];
    }),
  );
}

type Handle = (params: unknown, deps: ApiDependencies, call: Call, sent: unknown) => unknown;

/** By name, or one object in an array. */
function namedParams(params: unknown): unknown {
  if (params === undefined) return {};
  if (!Array.isArray(params)) return params;
  if (params.length === 0) return {};
  if (params.length === 1 && isObject(params[0])) return params[0];
  throw invalidParams([
    { path: '', message: 'must be one object, by itself or as the only entry of an array' },
  ]);
}

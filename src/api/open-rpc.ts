import { z } from 'zod';
import type { MethodDefinition } from './methods/definition.ts';
import type { RpcMethodName, RpcReason } from './wire.ts';
import { RPC_ERROR_CODES } from './wire.ts';

/** The version of the OpenRPC specification the document follows. */
const OPEN_RPC_VERSION = '1.3.2';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

export type MethodTable = { readonly [Name in RpcMethodName]: MethodDefinition<Name> };

/** JSON Schema of what a client may send. Rules that it cannot express are checked all the same. */
export function paramsSchema(method: Pick<MethodDefinition<RpcMethodName>, 'params'>): JsonSchema {
  return z.toJSONSchema(method.params, { io: 'input', unrepresentable: 'any' });
}

export function resultSchema(method: { readonly result: () => z.ZodType }): JsonSchema {
  return z.toJSONSchema(method.result(), { io: 'output', unrepresentable: 'any' });
}

/** What a client gets from `rpc.discover`: made of the table that checks the calls, so that it cannot be wrong. */
export function openRpcDocument(methods: MethodTable, version: string): Record<string, unknown> {
  return {
    openrpc: OPEN_RPC_VERSION,
    info: { title: 'container-manager', version },
    methods: Object.entries(methods).map(([name, method]) => ({
      name,
      summary: method.summary,
      paramStructure: 'by-name',
      params: paramDescriptors(paramsSchema(method)),
      result: { name: 'result', schema: resultSchema(method) },
      errors: method.errors.map(errorObject),
      'x-scope': method.scope,
    })),
  };
}

function paramDescriptors(schema: JsonSchema): Record<string, unknown>[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {})
    .map(([name, member]) => ({ name, required: required.has(name), schema: member }))
    .sort((a, b) => Number(b.required) - Number(a.required));
}

function errorObject(reason: RpcReason): { code: number; message: string } {
  return { code: RPC_ERROR_CODES[reason], message: reason };
}

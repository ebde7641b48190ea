import { closerReasons } from './errors.ts';
import { HTTP_ROUTES } from './http-routes.ts';
import { METHODS } from './methods/table.ts';
import type { JsonSchema } from './open-rpc.ts';
import { paramsSchema, resultSchema } from './open-rpc.ts';
import { RPC_PATH } from './rpc-route.ts';
import type { RpcReason } from './wire.ts';
import { RPC_ERROR_CODES } from './wire.ts';

const INTRODUCTION = `# API reference

Generated from the table of methods that checks the calls. \`rpc.discover\` gives the same as an OpenRPC document.

## JSON-RPC

\`POST ${RPC_PATH}\` with \`Content-Type: application/json\`. Requests with \`"jsonrpc": "2.0"\` get replies after JSON-RPC 2.0,
batches and notifications included; requests without it get the replies of JSON-RPC 1.0: errors as plain text, with
HTTP status 400. Parameters are one object, by itself or as the only entry of an array. Unknown fields are refused.

Methods of scope \`read\` change nothing; the others need a token of scope \`full\`, or no token on the node itself.
`;

/** The page `docs/reference/rpc.md`. Depends on nothing but the tables. */
export function generateRpcReference(): string {
  const methods = Object.entries(METHODS).map(([name, method]) =>
    [
      `### ${name}`,
      `${method.summary} Scope: ${code(method.scope)}.`,
      paramsText(paramsSchema(method)),
      resultText(resultSchema(method)),
      ...(method.errors.length === 0 ? [] : [`Errors: ${method.errors.map(code).join(', ')}.`]),
    ].join('\n\n'),
  );
  return `${[INTRODUCTION, ...methods, errorsText(), routesText()].join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`;
}

function paramsText(schema: JsonSchema): string {
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length === 0) return 'No parameters.';
  const required = new Set(schema.required);
  const rows = fields.map(([name, member]) => {
    const field = member as JsonSchema;
    const fallback = field.default === undefined ? '' : code(JSON.stringify(field.default));
    const need = required.has(name) ? 'required' : fallback;
    return `| ${code(name)} | ${cell(typeText(field))} | ${cell(need)} | ${cell(field.description ?? '')} |`;
  });
  return ['| parameter | type | default | |', '|---|---|---|---|', ...rows].join('\n');
}

function resultText(schema: JsonSchema): string {
  const names = Object.keys(schema.properties ?? {});
  if (names.length === 0) return 'Result: an object.';
  const required = new Set(schema.required);
  const shown = names.map((name) => code(required.has(name) ? name : `${name}?`));
  return `Result: ${shown.join(', ')}.`;
}

/** A type in few words: `string`, `list of string`, `"a" | "b"`, `{ cpu, memory }`. */
function typeText(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf !== undefined)
    return schema.anyOf.map((member) => typeText(member as JsonSchema)).join(' | ');
  if (schema.type === 'array') return `list of ${typeText((schema.items ?? {}) as JsonSchema)}`;
  if (schema.type !== 'object') return [schema.type].flat().join(' | ');
  const names = Object.keys(schema.properties ?? {});
  return names.length === 0 ? 'object of strings' : `{ ${names.join(', ')} }`;
}

function errorsText(): string {
  const rows = (Object.keys(RPC_ERROR_CODES) as RpcReason[]).map((reason) => {
    const closer = closerReasons(reason).map(code).join(', ');
    return `| ${RPC_ERROR_CODES[reason]} | ${code(reason)} | ${closer} |`;
  });
  return [
    '## Errors',
    'Every error has `data` with `reason` (the name below, or a closer one), `retryable`, ' +
      '`retry_after_ms` where it is known, and `details`.',
    ['| code | reason | closer |', '|---|---|---|', ...rows].join('\n'),
  ].join('\n\n');
}

function routesText(): string {
  const rows = HTTP_ROUTES.map(({ path, query, summary }) => {
    const names = Object.keys(query.shape).map(code);
    return `| ${code(`GET ${path}`)} | ${names.join(', ')} | ${cell(summary)} |`;
  });
  return ['## Other HTTP', ['| route | query | |', '|---|---|---|', ...rows].join('\n')].join('\n\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

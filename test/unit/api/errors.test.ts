import { expect, test } from 'vitest';
import { errorReply } from '../../../src/api/errors.ts';
import { RPC_ERROR_CODES, type RpcReason } from '../../../src/api/wire.ts';
import { CATALOG_ERROR_CODES, CatalogError, type CatalogErrorCode } from '../../../src/catalog/errors.ts';
import { InvariantError } from '../../../src/kernel/errors.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';

const deps = (broken: InvariantError[] = []) => ({
  logger: SILENT_LOGGER,
  onInvariantError: (error: InvariantError) => void broken.push(error),
});

const REPLIES: Readonly<Record<CatalogErrorCode, readonly [RpcReason, status: number]>> = {
  controller_not_found: ['not_found', 404],
  version_not_found: ['not_found', 404],
  no_controllers: ['not_found', 404],
  controller_invalid: ['invalid_state', 409],
  exists: ['invalid_state', 409],
  catalog_broken: ['invalid_state', 409],
  catalog_full: ['invalid_state', 409],
  bad_query: ['invalid_params', 400],
  invalid_entry: ['invalid_params', 400],
  ambiguous: ['invalid_params', 400],
  catalog_unwritable: ['internal_error', 503],
  closed: ['draining', 503],
};

test.each(Object.keys(CATALOG_ERROR_CODES) as CatalogErrorCode[])(
  '%s of the catalog keeps its name, its words and its facts',
  (code) => {
    const error = new CatalogError(code, 'why it is so', { details: { id: 'a' }, retryable: true });
    const [rpc, status] = REPLIES[code];
    expect(errorReply(error, deps(), { route: '/x' })).toEqual({
      ...{ code: RPC_ERROR_CODES[rpc], status, message: 'why it is so' },
      data: { reason: code, retryable: true, details: { id: 'a' } },
    });
  },
);

test('of anything else nothing is told but an id, and a broken invariant is reported', () => {
  const broken: InvariantError[] = [];
  const reply = errorReply(new InvariantError('secret of ours'), deps(broken), { route: '/x' });
  expect(reply.message).toMatch(/^internal error [0-9a-f]{16}:/);
  expect(JSON.stringify(reply)).not.toContain('secret');
  expect(broken).toHaveLength(1);
});

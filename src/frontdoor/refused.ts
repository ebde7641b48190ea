import { CatalogError, type CatalogErrorCode } from '../catalog/errors.ts';
import { InstanceError, type InstanceErrorCode } from '../instances/errors.ts';
import { QueryError } from './query.ts';
import type { Refusal } from './refusal.ts';

/** A refusal on its way to the one place that sends it. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.text, options);
    this.refusal = refusal;
  }
}

const CATALOG_STATUS: Partial<Record<CatalogErrorCode, number>> = {
  controller_not_found: 400,
  version_not_found: 400,
  bad_query: 400,
  no_controllers: 500,
  controller_invalid: 503,
};
const INSTANCE_STATUS: Record<InstanceErrorCode, number> = {
  busy: 503,
  draining: 503,
  start_failed: 502,
  not_running: 409,
};

/** The one place where what went wrong becomes a status; undefined for what should not go wrong. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof QueryError)
    return { status: 400, text: `Error parsing query parameters: ${error.message}` };
  if (error instanceof CatalogError)
    return { status: CATALOG_STATUS[error.code] ?? 500, text: error.message };
  if (!(error instanceof InstanceError)) return undefined;
  const { code, message: text, retryAfterMs } = error;
  return { status: INSTANCE_STATUS[code], text, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

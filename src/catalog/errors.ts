import { CodedError } from '../kernel/errors.ts';

/** Each code with what it means. The API and the front door turn them into JSON-RPC codes and HTTP statuses. */
export const CATALOG_ERROR_CODES = {
  controller_not_found: 'no controller has this id',
  version_not_found: 'no controller that fits has this version',
  no_controllers: 'there is no controller to serve',
  controller_invalid: 'the controller did not pass its validation',
  bad_query: 'what the client asked with cannot be read: too long, or with control characters',
  invalid_entry: 'the entry is not what an entry must be',
  exists: 'there is a controller of this id and version already',
  ambiguous: 'several versions have this id: say which one',
  catalog_broken:
    'the database file holds a hand edit that cannot be read; nothing is written until it is mended',
  catalog_full: 'there are as many controllers as there may be',
  catalog_unwritable: 'the database file cannot be read or written',
  closed: 'the node stops',
} as const;
export type CatalogErrorCode = keyof typeof CATALOG_ERROR_CODES;

export class CatalogError extends CodedError<CatalogErrorCode> {
  override readonly name = 'CatalogError';
}

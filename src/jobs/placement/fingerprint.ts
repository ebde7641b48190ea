import { createHmac } from 'node:crypto';
import { canonicalJson } from '../../kernel/canonical-json.ts';
import { fillRandom } from '../../kernel/random-pool.ts';
import type { JobSpec } from '../spec.ts';

const NONCE_BYTES = 16;

/**
 * What tells one who has a spec, and its idempotency key, whether another one's is the same. Nobody else can try values of it: the
 * key is needed for that, and does not travel with the question.
 */
export interface SpecQuestion {
  /** New for each question, so that no answer to one helps with another. */
  readonly nonce: string;
  readonly fingerprint: string;
}

/** A spec, and the idempotency key that it was sent with. */
export interface KeyedSpec {
  readonly spec: JobSpec;
  readonly idempotencyKey: string | undefined;
}

export function askAbout(keyed: KeyedSpec): SpecQuestion {
  const nonce = fillRandom(Buffer.allocUnsafe(NONCE_BYTES)).toString('hex');
  return { nonce, fingerprint: fingerprintOf(keyed, nonce) };
}

export function isMeant(keyed: KeyedSpec, { nonce, fingerprint }: SpecQuestion): boolean {
  return keyed.idempotencyKey !== undefined && fingerprintOf(keyed, nonce) === fingerprint;
}

function fingerprintOf({ spec, idempotencyKey = '' }: KeyedSpec, nonce: string): string {
  return createHmac('sha256', idempotencyKey)
    .update(canonicalJson([nonce, spec]))
    .digest('hex');
}

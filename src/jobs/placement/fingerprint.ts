import { createHmac } from 'node:crypto';
import { canonicalJson } from '../../kernel/canonical-json.ts';
import { fillRandom } from '../../kernel/random-pool.ts';
import type { JobSpec } from '../spec.ts';

const NONCE_BYTES = 16;

/** What tells one who has a spec whether another one's is the same, and nobody what is in it. */
export interface SpecQuestion {
  /** New for each question, so that no answer to one helps with another. */
  readonly nonce: string;
  readonly fingerprint: string;
}

export function askAbout(spec: JobSpec): SpecQuestion {
  const nonce = fillRandom(Buffer.allocUnsafe(NONCE_BYTES)).toString('hex');
  return { nonce, fingerprint: fingerprintOf(spec, nonce) };
}

export function isMeant(spec: JobSpec, { nonce, fingerprint }: SpecQuestion): boolean {
  return fingerprintOf(spec, nonce) === fingerprint;
}

function fingerprintOf(spec: JobSpec, nonce: string): string {
  return createHmac('sha256', nonce).update(canonicalJson(spec)).digest('hex');
}

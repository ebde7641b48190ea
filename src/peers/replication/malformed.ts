import { PeerError } from '../errors.ts';

/** The error for bytes that are not what they should be. Nothing of them is in it: they are a stranger's. */
export function malformed(what: string, cause?: unknown): PeerError {
  return new PeerError('peer_violation', `malformed ${what}`, { cause, details: { what } });
}

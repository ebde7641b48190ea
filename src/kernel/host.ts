import { isIP } from 'node:net';

/** Longest name that DNS knows. */
const MAX_HOST_LENGTH = 253;
const HOST_LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** Whether it is an IP address or a name that DNS could know. */
export function isHost(text: string): boolean {
  if (text.length === 0 || text.length > MAX_HOST_LENGTH) return false;
  if (isIP(text) !== 0) return true;
  // Digits and dots alone are a mistyped address, never a name.
  return !/^[\d.]+$/.test(text) && text.split('.').every((label) => HOST_LABEL.test(label));
}

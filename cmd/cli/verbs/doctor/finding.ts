/** What one check found. */
export interface Finding {
  readonly verdict: 'ok' | 'warn' | 'fail';
  /** What was looked at. */
  readonly name: string;
  readonly text: string;
  /** What to do about it, unless it is fine. */
  readonly remedy?: string;
}

export function ok(name: string, text: string): Finding {
  return { verdict: 'ok', name, text };
}

export function warn(name: string, text: string, remedy: string): Finding {
  return { verdict: 'warn', name, text, remedy };
}

export function fail(name: string, text: string, remedy: string): Finding {
  return { verdict: 'fail', name, text, remedy };
}

/** Stands where a secret value was. */
export const HIDDEN = '***';

/** An environment as everybody may see it: its names, and nothing of its values. */
export function hiddenEnv(env: Readonly<Record<string, string>>): Record<string, string> {
  return envOfNames(Object.keys(env));
}

export function envOfNames(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, HIDDEN]));
}

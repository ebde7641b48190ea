/** What a node tells its peers of itself, beside its log. */
export interface NodeCard {
  /** The name of its host. */
  readonly name: string;
  readonly version: string;
  readonly isDraining: boolean;
}

const MAX_TEXT_LENGTH = 128;

/** JSON, short enough for a statement. */
export function encodeCard({ name, version, isDraining }: NodeCard): Uint8Array {
  const draining = isDraining ? { draining: true } : {};
  return Buffer.from(JSON.stringify({ name: clean(name), version: clean(version), ...draining }));
}

/** Undefined for what is not one. Fields that a newer version added are not looked at. */
export function decodeCard(bytes: Uint8Array): NodeCard | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { name, version, draining } = value as Record<string, unknown>;
  if (typeof name !== 'string' || typeof version !== 'string') return undefined;
  return { name: clean(name), version: clean(version), isDraining: draining === true };
}

/** It is shown on terminals: nothing but letters, digits and the marks that names have. */
function clean(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._+-]/g, '?').slice(0, MAX_TEXT_LENGTH);
}

/** What a look at the images changed, for people. Controllers are named `id@version`. */
export interface DiscoveryReport {
  readonly atMs: number;
  readonly added: readonly string[];
  readonly updated: readonly string[];
  readonly unchanged: readonly string[];
  readonly removed: readonly string[];
  readonly skipped: readonly SkippedImage[];
}

export interface SkippedImage {
  /** A name of the image, or its id where it has none. */
  readonly image: string;
  readonly reason: string;
}

export function nameOf({
  id,
  version,
}: {
  readonly id: string;
  readonly version?: string | undefined;
}): string {
  return `${id}@${version ?? ''}`;
}

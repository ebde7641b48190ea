/** What a look at the images changed, for people. Controllers are named `id@version`. */
export interface DiscoveryReport {
  readonly atMs: number;
  readonly added: readonly string[];
  readonly updated: readonly string[];
  readonly unchanged: readonly string[];
  readonly removed: readonly string[];
  readonly skipped: readonly { readonly image: string; readonly reason: string }[];
}

export interface BackoffPolicy {
  readonly firstMs: number;
  readonly capMs: number;
}

/**
 * Delay before try number `attempt` (1 is the first repeat): doubles from `firstMs` up to `capMs`, of which a
 * random half is taken off, so that many who failed together do not come back together.
 */
export function backoffMs(
  policy: BackoffPolicy,
  attempt: number,
  random: () => number = Math.random,
): number {
  const fullMs = Math.min(policy.capMs, policy.firstMs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return Math.round(fullMs / 2 + (fullMs / 2) * random());
}

/**
 * For `expect.poll`: what a busy machine may need. Its own limit is one second, which a slow disk alone can take.
 * Less than the 20 s that a unit test may take, so that what is waited for is named.
 */
export const PATIENCE = { timeout: 15_000 } as const;

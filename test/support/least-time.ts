/**
 * The least of the times that `work` takes, ms, and what it took in between is left aside: whatever else the machine
 * does can only add to a time. Stops as soon as one is below `enoughMs`.
 */
export async function leastMs(
  rounds: number,
  work: () => unknown,
  enoughMs = Number.NEGATIVE_INFINITY,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds && least >= enoughMs; round += 1) {
    const startedMs = performance.now();
    await work();
    least = Math.min(least, performance.now() - startedMs);
  }
  return least;
}

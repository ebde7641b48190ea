/** Carries out `work` `count` times, `concurrency` at once; resolves with how long all of it took, s. */
export async function timeInFlight(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<void>,
): Promise<number> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, lane));
  return (performance.now() - startedMs) / 1000;
}

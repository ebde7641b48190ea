/** How long work may follow on work before everybody else gets a turn of the event loop, ms. */
const SLICE_MS = 5;

/**
 * Runs `work` for every item, at most `concurrency` at once, and gives the results in the items' order when the last
 * is there. Work that ends at once costs no turn of the event loop, unless there is much of it. `work` must call `done`
 * exactly once.
 */
export function runBounded<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item, done: (result: Result) => void) => void,
  finish: (results: Result[]) => void,
): void {
  const results = new Array<Result>(items.length);
  let next = 0;
  let running = 0;
  let left = items.length;
  let isStarting = false;
  let sliceEndMs = performance.now() + SLICE_MS;
  const startSlice = (): void => {
    isStarting = false;
    sliceEndMs = performance.now() + SLICE_MS;
    start();
  };
  const start = (): void => {
    // Work that ends at once comes back here: the loop below takes up the next item, not another call of it.
    if (isStarting) return;
    isStarting = true;
    while (running < concurrency && next < items.length) {
      if (performance.now() > sliceEndMs) {
        // Whatever ends until then starts nothing either.
        setImmediate(startSlice);
        return;
      }
      const index = next;
      next += 1;
      running += 1;
      work(items[index] as Item, (result) => {
        results[index] = result;
        running -= 1;
        left -= 1;
        if (left === 0) finish(results);
        else start();
      });
    }
    isStarting = false;
  };
  start();
}

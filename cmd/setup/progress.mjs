/** A failure of the set-up that has been explained in full: its message is all that is printed. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** Milliseconds as seconds with one decimal, for people. */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/**
 * Runs one step behind one line that says what is done and, at its end, how long it took. The line goes to stderr, so
 * that a command which sets up first keeps its stdout for its own output.
 *
 * @template T
 * @param {string} title
 * @param {() => Promise<T>} work
 * @param {{ write(text: string): unknown }} [out]
 * @returns {Promise<T>}
 */
export async function step(title, work, out = process.stderr) {
  const startedMs = performance.now();
  out.write(`set-up: ${title} ... `);
  try {
    const result = await work();
    out.write(`${seconds(performance.now() - startedMs)}\n`);
    return result;
  } catch (error) {
    out.write(`failed after ${seconds(performance.now() - startedMs)}\n`);
    throw error;
  }
}

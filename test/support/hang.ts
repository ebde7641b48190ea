import { readdirSync, readFileSync } from 'node:fs';
import { waitFor } from './wait-for.ts';

const TIMEOUT_MS = 10_000;

/**
 * Stops a process as `kill -STOP` does: it keeps its connections and answers nothing until it gets SIGCONT. Resolves once all of its
 * threads stand still; the signal alone is on its way when `kill` returns, and the process may go on for a moment.
 */
export async function hang(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await waitFor(`process ${pid} to stand still`, TIMEOUT_MS, () =>
    readdirSync(`/proc/${pid}/task`).every((thread) => stateOf(`/proc/${pid}/task/${thread}/stat`) === 'T'),
  );
}

/** What follows the name, which is in parentheses and may hold anything. See proc_pid_stat(5). */
function stateOf(file: string): string | undefined {
  return readFileSync(file, 'latin1').split(') ').at(-1)?.[0];
}

import type { InstanceId } from '../kernel/ids.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';

const TAIL_LINES = 20;
const TAIL_BYTES = 2_048;

/** The last lines a container wrote, for a job's history; empty when they cannot be had. */
export async function logTail(driver: RuntimeDriver, id: InstanceId): Promise<string> {
  let tail = Buffer.alloc(0);
  try {
    for await (const chunk of driver.logs(id, { tail: TAIL_LINES })) {
      tail = Buffer.concat([tail, chunk.data]).subarray(-TAIL_BYTES);
    }
  } catch {
    // The output of a failed attempt helps a reader; its lack must not keep the next attempt from being made.
  }
  return tail.toString('utf8').trim();
}

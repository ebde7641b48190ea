import type { InstanceId } from '../kernel/ids.ts';
import type { RuntimeDriver } from './driver.ts';

const TAIL_LINES = 20;
const TAIL_BYTES = 2_048;

/** The last lines a container wrote, to tell why it ended; empty when they cannot be had. */
export async function logTail(driver: Pick<RuntimeDriver, 'logs'>, id: InstanceId): Promise<string> {
  let tail = Buffer.alloc(0);
  try {
    for await (const chunk of driver.logs(id, { tail: TAIL_LINES })) {
      tail = Buffer.concat([tail, chunk.data]).subarray(-TAIL_BYTES);
    }
  } catch {
    // It helps a reader; its lack must keep nothing from being done.
  }
  return tail.toString('utf8').trim();
}

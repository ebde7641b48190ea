import { setTimeout as delay } from 'node:timers/promises';
import type { Talk } from './talker.ts';

/** The finest that timers are. */
const TICK_MS = 1;

/** Calls `speak` as often as it is to be said, each when its time has come, or as soon after it as can be. */
async function pace({ perSecond, count, delayMs }: Talk, speak: () => void): Promise<void> {
  await delay(delayMs);
  const startedMs = performance.now();
  for (let done = 0; done < count;) {
    const due = Math.min(count, 1 + Math.floor(((performance.now() - startedMs) * perSecond) / 1000));
    for (; done < due; done += 1) speak();
    const nextMs = (done * 1000) / perSecond - (performance.now() - startedMs);
    if (done < count) await delay(Math.max(TICK_MS, nextMs));
  }
}

/** The same of what takes its time; resolves when all of it is done. */
export async function talkWith(talk: Talk, speak: () => Promise<void>): Promise<void> {
  const spoken: Promise<void>[] = [];
  await pace(talk, () => void spoken.push(speak()));
  await Promise.all(spoken);
}

import { Child } from '../child.ts';
import type { BareSplice } from '../children/bare-splice.ts';
import type { BenchContext } from '../suite.ts';
import { CORES, pin } from './cores.ts';
import type { Proxy } from './proxy.ts';

/** What Node does by itself, and no proxy written in JavaScript does better: no head is read, nobody is asked who they are. */
export async function startBareSplice(context: BenchContext, echoPort: number): Promise<Proxy> {
  await using parts = new AsyncDisposableStack();
  const child = parts.use(new Child('bare-splice', context));
  const port = await child.ask<number>('start', { echoPort } satisfies BareSplice);
  await pin(CORES.proxy, child.pid);
  parts.move();
  return {
    port,
    target: '/ws',
    pid: child.pid,
    settle: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

import { Child } from '../child.ts';
import type { DoorStart, DoorStarted } from '../children/front-door.ts';
import type { BenchContext } from '../suite.ts';
import { CORES, pin } from './cores.ts';
import type { Proxy } from './proxy.ts';

/** Ours, with a job whose container is the echo. */
export async function startFrontDoor(context: BenchContext, echoPort: number): Promise<Proxy> {
  await using parts = new AsyncDisposableStack();
  const child = parts.use(new Child('front-door', context));
  const { port, target } = await child.ask<DoorStarted>('start', { echoPort } satisfies DoorStart);
  await pin(CORES.proxy, child.pid);
  parts.move();
  return {
    port,
    target,
    pid: child.pid,
    settle: () => child.ask('settle'),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { FAILPOINTS, type Failpoint } from '../../../../src/kernel/failpoint.ts';
import type { NodeHome, NodeProcess } from '../../../support/node-process.ts';
import type { SeededRandom } from '../../support/seed.ts';

/** Those that a running node passes; the others belong to the making and the tidying of its store. */
const VISITED: readonly Failpoint[] = FAILPOINTS.filter((name) => !name.startsWith('mid-'));
/** A failpoint that was not passed by then, start-up included, gives way to an ordinary kill, ms. */
const FAILPOINT_PATIENCE_MS = 3_000;

export interface KillOptions {
  readonly kills: number;
  readonly random: SeededRandom;
  /** Longest life before a random kill, ms. */
  readonly maxLifeMs: number;
}

/** How often the node died where. */
export type Deaths = Map<string, number>;

/** Starts the node and kills it, half the times at a random moment, half the times at a named point. */
export async function killOverAndOver(home: NodeHome, options: KillOptions): Promise<Deaths> {
  const deaths: Deaths = new Map();
  // So that few kills visit other points in every run.
  const first = options.random.int(0, VISITED.length - 1);
  for (let kill = 0; kill < options.kills; kill += 1) {
    const point = kill % 2 === 0 ? undefined : VISITED[(first + (kill - 1) / 2) % VISITED.length];
    const where = await liveAndDie(home, point, options);
    deaths.set(where, (deaths.get(where) ?? 0) + 1);
  }
  return deaths;
}

async function liveAndDie(
  home: NodeHome,
  point: Failpoint | undefined,
  options: KillOptions,
): Promise<string> {
  const { random, maxLifeMs } = options;
  if (point === undefined) {
    // Some are killed while they start.
    const node = home.spawn();
    if (random.next() < 0.8) await node.untilReady();
    await delay(random.int(0, maxLifeMs));
    await node.kill();
    return 'random';
  }
  const node = home.spawn({ env: { CONTAINER_MANAGER_FAIL_AT: `${point}:${random.int(1, 4)}` } });
  const isDead = await diesWithin(node, FAILPOINT_PATIENCE_MS);
  await node.kill();
  return isDead ? point : 'random';
}

async function diesWithin(node: NodeProcess, timeoutMs: number): Promise<boolean> {
  return Promise.race([node.exited.then(() => true), delay(timeoutMs, false)]);
}

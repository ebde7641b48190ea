import { describe, expect, it } from 'vitest';
import { figure } from '../../support/figure.ts';
import { SimulatedCluster, type SimulatedNode } from '../../support/simulated-cluster.ts';
import { FAIR } from '../../support/virtual-network.ts';

/** One seed is one run, the same every time: the seed of a failure is in its name. */
const FIRST_SEED = Number(process.env['FAULTS_SEED'] ?? 1);
const RUNS = figure(2_000, 20_000);

/** By when all views must be equal once nothing is in the way: one round of asking. */
const CONVERGED_WITHIN_MS = 30_000;

/** Most clusters are small, since what goes wrong goes wrong among few; now and then one is of the size that is promised. */
const LARGE = [
  { every: 300, size: 50, steps: 6 },
  { every: 100, size: 20, steps: 12 },
  { every: 30, size: 10, steps: 20 },
];

function shapeOf(seed: number): { readonly size: number; readonly steps: number } {
  return LARGE.find(({ every }) => seed % every === 0) ?? { size: 2 + (seed % 5), steps: 30 };
}

describe('mirrors on a virtual network', () => {
  it(
    'end equal to what their owners have, whatever happened on the way',
    { timeout: 3_600_000 },
    async () => {
      const seen = { restores: 0, losses: 0, cuts: 0, mutes: 0, crashes: 0, compactions: 0, mismatches: 0 };
      for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed += 1) {
        const { size, steps } = shapeOf(seed);
        const cluster = new SimulatedCluster({ seed, size });
        try {
          await run(cluster, steps, seen);
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
        }
        expect(cluster.broken, `seed ${seed}`).toEqual([]);
      }
      for (const [what, count] of Object.entries(seen)) expect(count, `runs with ${what}`).toBeGreaterThan(0);
    },
  );
});

async function run(cluster: SimulatedCluster, steps: number, seen: Record<string, number>): Promise<void> {
  for (const node of cluster.nodes) node.start();
  const backups = new Map<SimulatedNode, ReturnType<SimulatedNode['log']['backup']>>();
  const actions: Record<string, () => void> = {
    crash: () => {
      const node = cluster.pick(cluster.nodes);
      if (cluster.random() < 0.3) node.store = node.store.powerCut();
      node.crash();
      seen['crashes'] = (seen['crashes'] ?? 0) + 1;
    },
    start: () => {
      const down = cluster.nodes.filter((node) => !node.isUp);
      if (down.length > 0) cluster.pick(down).start();
    },
    cut: () => {
      const sides = new Map(cluster.nodes.map((node) => [node.nodeId, cluster.random() < 0.5]));
      cluster.network.cut((a, b) => sides.get(a) !== sides.get(b));
      seen['cuts'] = (seen['cuts'] ?? 0) + 1;
    },
    mute: () => {
      const mute = new Set(cluster.nodes.filter(() => cluster.random() < 0.3).map(({ nodeId }) => nodeId));
      const deaf = new Set(cluster.nodes.filter(() => cluster.random() < 0.5).map(({ nodeId }) => nodeId));
      cluster.network.mute((from, to) => mute.has(from) && deaf.has(to));
      seen['mutes'] = (seen['mutes'] ?? 0) + 1;
    },
    heal: () => {
      cluster.network.cut(() => false);
      cluster.network.mute(() => false);
    },
    weather: () => {
      const loss = cluster.random() * 0.5;
      const maxDelayMs = 1 + cluster.random() * 400;
      cluster.network.weather = { loss, duplication: cluster.random() * 0.3, minDelayMs: 1, maxDelayMs };
    },
    compact: () => {
      const node = cluster.pick(cluster.nodes);
      node.log.compact(cluster.below(10));
      node.replicator?.mirror.compact(Number.MAX_SAFE_INTEGER);
      seen['compactions'] = (seen['compactions'] ?? 0) + 1;
    },
    backup: () => {
      const node = cluster.pick(cluster.nodes);
      backups.set(node, node.log.backup());
    },
    restore: () => {
      const node = cluster.pick([...backups.keys()]);
      const backup = backups.get(node);
      if (backup === undefined) return;
      node.crash();
      node.log.restore(backup);
      node.start();
      seen['restores'] = (seen['restores'] ?? 0) + 1;
    },
    lose: () => {
      const node = cluster.pick(cluster.nodes);
      node.crash();
      if (cluster.random() < 0.5) node.setClockBack();
      if (cluster.random() < 0.5) node.loseMirrors();
      else {
        node.loseStores();
        backups.delete(node);
      }
      node.start();
      seen['losses'] = (seen['losses'] ?? 0) + 1;
    },
  };
  const names = Object.keys(actions);
  for (let step = 0; step < steps; step += 1) {
    if (cluster.random() < 0.4) actions[cluster.pick(names)]?.();
    const up = cluster.nodes.filter((node) => node.isUp);
    for (let change = cluster.below(6); change > 0 && up.length > 0; change -= 1)
      cluster.change(cluster.pick(up));
    await cluster.clock.pass(cluster.random() < 0.1 ? 8_000 : cluster.below(600));
  }
  cluster.network.weather = FAIR;
  cluster.network.cut(() => false);
  cluster.network.mute(() => false);
  for (const node of cluster.nodes) if (!node.isUp) node.start();
  await cluster.untilEqual(CONVERGED_WITHIN_MS);
  seen['mismatches'] =
    (seen['mismatches'] ?? 0) + cluster.nodes.reduce((sum, node) => sum + node.counts.onMismatch, 0);
  const violations = cluster.nodes.flatMap((node) => node.violations);
  if (violations.length > 0) throw new Error(`violations among honest nodes: ${violations.join('; ')}`);
  const copies = cluster.nodes.reduce((sum, node) => sum + node.counts.onCopiedIdentity, 0);
  if (copies > 0) throw new Error(`a node was taken for a copy ${copies} times`);
  cluster.crashAll();
}

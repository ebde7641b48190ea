import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { messageOf } from '../../../src/kernel/errors.ts';
import { importControllerImage } from '../../support/discon/image.ts';
import { requireDocker } from '../../support/docker.ts';
import { figure } from '../../support/figure.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type SeededRandom, seededRandom } from '../support/seed.ts';
import { DoorNode } from './support/door-node.ts';
import { controllersOf, HANDSHAKE_LIMIT, VISITS } from './support/visits.ts';

const MIB = 1024 ** 2;
const MINUTE_MS = 60_000;
const DURATION_MS = Number(process.env['SOAK_MINUTES'] ?? figure(0.08, 60)) * MINUTE_MS;
/** Visitors at once. */
const VISITORS = 6;
const SAMPLES = 300;
/** Until compilers and caches have what they need nothing is compared, share of the time. */
const WARM_UP = 0.25;
/** Of the memory at the median, from the first third of what is compared to the last. */
const MAX_GROWTH_BYTES = (DURATION_MS < 10 * MINUTE_MS ? 64 : 16) * MIB;
/** Connections to the engine that are kept for half a minute; in short they are not waited for. */
const KEPT_CONNECTIONS = figure(16, 0);
const CLOSED_WITHIN_MS = 2 * MINUTE_MS;
const MAX_WAL_BYTES = 16 * MIB;
const MAX_TOLD = 5;

interface Sample {
  readonly residentBytes: number;
  readonly descriptors: number;
}

test(
  `clients of every kind for ${DURATION_MS / MINUTE_MS} minutes leave nothing behind, and memory stays as it is`,
  async () => {
    const random = seededRandom('soak');
    const docker = await requireDocker();
    await using image = await importControllerImage(docker, { type: null });
    const controllers = controllersOf(image.reference);
    const settings = { 'frontdoor.handshake_timeout': HANDSHAKE_LIMIT };
    await using node = await DoorNode.start({ docker, controllers, settings });
    const atFirst = sampleOf(node);
    const counts = new Map(Object.keys(VISITS).map((name) => [name, 0]));
    const failures: string[] = [];
    const untilMs = performance.now() + DURATION_MS;

    let deck: string[] = [];
    const visit = async (): Promise<void> => {
      for (;;) {
        // Each kind comes once before any comes again, and all of them at least once.
        const isFirst = [...counts.values()].includes(0);
        if (performance.now() >= untilMs && !isFirst) return;
        if (deck.length === 0) deck = shuffled([...counts.keys()], random);
        const name = deck.pop() ?? '';
        counts.set(name, (counts.get(name) ?? 0) + 1);
        await VISITS[name]?.({ node, docker, random }).catch((error: unknown) => {
          failures.push(`${name}: ${messageOf(error)} ${messageOf((error as Error).cause ?? '')}`);
        });
      }
    };
    const samples: Sample[] = [];
    const watch = async (): Promise<void> => {
      while (performance.now() < untilMs) {
        await delay(DURATION_MS / SAMPLES);
        samples.push(sampleOf(node));
      }
    };
    await Promise.all([watch(), ...Array.from({ length: VISITORS }, visit)]);

    node.dropAll();
    await node.process.rpc('ControllerService.Remove', { id: 'warm' });
    const goneMs = await node.untilNothingIsHeld();
    const thirds = thirdsOf(
      samples.slice(samples.length * WARM_UP).map(({ residentBytes }) => residentBytes),
    );
    const walBytes = walBytesOf(node.home.dataDir);
    console.log(
      [
        ...[...counts].map(([name, count]) => `${String(count).padStart(6)}  ${name}`),
        `failures ${failures.length}, all gone after ${Math.round(goneMs)} ms`,
        `memory at the median of thirds ${thirds.map((bytes) => `${Math.round(bytes / MIB)} MiB`).join(', ')}`,
        `descriptors ${atFirst.descriptors} at first, ${Math.max(...samples.map((each) => each.descriptors))} at most`,
        `write-ahead log ${Math.round(walBytes / 1024)} KiB, log ${node.home.log().split('\n').length} lines`,
      ].join('\n'),
    );
    expect(failures.slice(0, MAX_TOLD)).toEqual([]);
    await waitFor('its descriptors to be closed', CLOSED_WITHIN_MS, () => {
      return sampleOf(node).descriptors <= atFirst.descriptors + KEPT_CONNECTIONS;
    });
    expect((thirds[2] ?? 0) - (thirds[0] ?? 0)).toBeLessThan(MAX_GROWTH_BYTES);
    expect(walBytes).toBeLessThan(MAX_WAL_BYTES);
    expect((await node.process.rpc('JobService.List', {})).jobs).toEqual([]);
    expect(node.home.log()).not.toMatch(/^\{"level":[56]0/m);
  },
  DURATION_MS + 10 * MINUTE_MS,
);

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function sampleOf(node: DoorNode): Sample {
  return { residentBytes: node.residentBytes(), descriptors: node.descriptors().length };
}

/** The median of each third. */
function thirdsOf(values: readonly number[]): number[] {
  return [0, 1, 2].map((third) => {
    const from = Math.floor((third * values.length) / 3);
    const part = values.slice(from, Math.floor(((third + 1) * values.length) / 3)).toSorted((a, b) => a - b);
    return part[Math.floor(part.length / 2)] ?? 0;
  });
}

function walBytesOf(directory: string): number {
  const logs = readdirSync(directory).filter((name) => name.endsWith('-wal'));
  return Math.max(0, ...logs.map((name) => statSync(join(directory, name)).size));
}

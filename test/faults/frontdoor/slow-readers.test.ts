import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ControllerRecord } from '../../../src/catalog/controller.ts';
import { agree, TestUpstream } from '../../integration/frontdoor/test-upstream.ts';
import { DaemonBundle } from '../../support/daemon-bundle.ts';
import { openUpgrade } from '../../support/discon/upgrade.ts';
import { EngineServer } from '../../support/engine-server.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { figure, IS_FULL } from '../../support/figure.ts';
import { NodeHome } from '../../support/node-process.ts';

const KIB = 1024;
const MIB = KIB * KIB;
const READERS = figure(8, 1_000);
/** To each of them, a second. The kernel keeps some of it; in the short form far from all. */
const RATE_BYTES = figure(32 * MIB, 64 * KIB);
const LASTS_MS = figure(1_500, 60_000);
const BETWEEN_MS = 250;
/** What was read last of each waits until it can be written. */
const MAX_GROWTH_BYTES = 64 * MIB + READERS * 128 * KIB;

const PIECE = Buffer.alloc(16 * KIB);

/** A container that has more and more to say, and says it as fast as it is taken. */
class Source {
  /** What it has not got rid of. */
  owedBytes = 0;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#say());
  }

  owe(bytes: number): void {
    this.owedBytes += bytes;
    this.#say();
  }

  #say(): void {
    while (this.owedBytes > 0 && this.#socket.writable && !this.#socket.writableNeedDrain) {
      this.#socket.write(PIECE);
      this.owedBytes -= PIECE.length;
    }
  }
}

/** A node in a process of its own, whose only controller all clients share. */
async function startNode(parts: AsyncDisposableStack, upstream: TestUpstream) {
  const bundle = parts.use(await DaemonBundle.make());
  const driver = new FakeDriver();
  driver.addImage('test');
  const engine = parts.use(await EngineServer.start(driver));
  const home = parts.use(
    await NodeHome.create({
      program: bundle.program,
      env: { CM_TEST_ENGINE: engine.socketPath },
      settings: {
        'catalog.discovery': 'manual',
        'catalog.validate': 'false',
        // None of them is given up for it.
        'frontdoor.stall_timeout': '0',
      },
    }),
  );
  const controller: ControllerRecord = {
    ...{ id: 'rosco', version: '1.0.0', image: 'test', sharing: 'shared', max_connections: READERS },
    ports: { internal: upstream.port },
  };
  mkdirSync(home.dataDir, { mode: 0o700 });
  writeFileSync(join(home.dataDir, 'controllers.json'), JSON.stringify({ controllers: [controller] }));
  return home.start();
}

function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * KIB;
}

test(`F5: for ${READERS} clients that do not read nothing piles up in the node`, async () => {
  await using parts = new AsyncDisposableStack();
  const upstream = parts.use(await TestUpstream.start());
  const sources: Source[] = [];
  upstream.answer = (head) => {
    agree(head);
    sources.push(new Source(head.socket));
  };
  const node = await startNode(parts, upstream);
  const readers: Socket[] = [];
  parts.defer(() => readers.forEach((socket) => socket.destroy()));
  while (readers.length < READERS) {
    const { socket } = await openUpgrade({ host: '127.0.0.1', port: node.port, target: '/ws' });
    socket.on('error', () => undefined);
    readers.push(socket);
  }

  const beforeBytes = residentBytes(node.pid);
  const startedMs = performance.now();
  /** To each. */
  let [offeredBytes, mostBytes] = [0, beforeBytes];
  for (let passedMs = 0; passedMs < LASTS_MS; passedMs = performance.now() - startedMs) {
    const dueBytes = Math.ceil((RATE_BYTES * (passedMs + BETWEEN_MS)) / 1_000) - offeredBytes;
    offeredBytes += dueBytes;
    for (const source of sources) source.owe(dueBytes);
    await delay(BETWEEN_MS);
    mostBytes = Math.max(mostBytes, residentBytes(node.pid));
  }
  const owedBytes = sources.reduce((sum, source) => sum + Math.max(0, source.owedBytes), 0);
  const stuckCount = sources.filter(({ owedBytes }) => owedBytes > 0).length;
  const inMib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
  console.log(
    `${inMib(READERS * offeredBytes - owedBytes)} taken of ${inMib(READERS * offeredBytes)}, ${stuckCount} of ${READERS} stand still; ` +
      `the node grew from ${inMib(beforeBytes)} by ${inMib(mostBytes - beforeBytes)}`,
  );
  expect(mostBytes - beforeBytes).toBeLessThan(MAX_GROWTH_BYTES);
  // Or it would not have been too much for anybody.
  if (!IS_FULL) expect(stuckCount).toBe(READERS);
  expect(readers.filter((socket) => socket.closed)).toEqual([]);
});

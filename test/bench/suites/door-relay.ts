import { setTimeout as delay } from 'node:timers/promises';
import { rowOf, type Aim, type Row } from '../measure/row.ts';
import { median } from '../measure/statistics.ts';
import { takeTurns } from '../measure/take-turns.ts';
import { startBareSplice } from '../relay/bare-splice.ts';
import { requireTwoCores } from '../relay/cores.ts';
import { Echo } from '../relay/echo.ts';
import { startFrontDoor } from '../relay/front-door.ts';
import { startHaproxy } from '../relay/haproxy.ts';
import { Load, type LoadTarget } from '../relay/load.ts';
import { startNginx } from '../relay/nginx.ts';
import { buildRelayPrograms } from '../relay/programs.ts';
import type { Proxy } from '../relay/proxy.ts';
import { processorMs, residentBytes } from '../relay/usage.ts';
import type { BenchContext, Suite } from '../suite.ts';

const ROUND_SECONDS = 1;
const SHORT_BYTES = 100;
const LONG_BYTES = 64 * 1024;
/** Enough that a proxy always has something to do. */
const LONG_CONNECTIONS = 8;
const HANDSHAKE_CONNECTIONS = 16;
const IDLE_CONNECTIONS = 4_000;
/** Open already, so that what comes with the first of them is not counted. */
const EARLIER_CONNECTIONS = 1_000;
const SETTLE_MS = 1_000;

type ProxyName = 'ours' | 'nginx' | 'haproxy' | 'bare';
type Contestant = ProxyName | 'direct';
type Rounds = readonly Record<Contestant, number>[];

interface Bench {
  readonly context: BenchContext;
  readonly load: Load;
  readonly echo: Echo;
  readonly proxies: Readonly<Record<ProxyName, Proxy>>;
}

/** The front door between the same clients and the same echo as nginx and haproxy, each on the one core it has. */
export const doorRelay: Suite = {
  name: 'door-relay',
  title: 'WebSockets through the front door, nginx and haproxy',
  run: async (context) => {
    requireTwoCores();
    const programs = await buildRelayPrograms(context.workDir);
    await using echo = await Echo.start(programs.echo);
    const load = new Load(programs.load);
    const rows: Row[] = [];
    {
      await using parts = new AsyncDisposableStack();
      const proxies = {
        ours: parts.use(await startFrontDoor(context, echo.port)),
        nginx: parts.use(await startNginx(context, echo.port)),
        haproxy: parts.use(await startHaproxy(context, echo.port)),
        bare: parts.use(await startBareSplice(context, echo.port)),
      };
      const bench = { context, load, echo, proxies };
      for (const connections of [1, 100]) rows.push(...(await measureShort(bench, connections)));
      rows.push(await measureLong(bench), await measureHandshakes(bench));
    }
    rows.push(await measureIdle(context, load, echo));
    return rows;
  },
};

async function measureShort(bench: Bench, connections: number): Promise<Row[]> {
  const name = `messages of ${SHORT_BYTES} bytes, ${connections} at once`;
  const options = { connections, messageBytes: SHORT_BYTES, seconds: ROUND_SECONDS };
  const rounds = await inTurn(bench, name, (to) => bench.load.messages(to, options));
  const aim: Aim = { kind: 'ratio', atLeast: 1 };
  return (['nginx', 'haproxy'] as const).map((other) => rowAgainst(other, { name, unit: '/s', aim }, rounds));
}

async function measureLong(bench: Bench): Promise<Row> {
  const name = `messages of ${LONG_BYTES / 1024} KiB, ${LONG_CONNECTIONS} at once`;
  const options = { connections: LONG_CONNECTIONS, messageBytes: LONG_BYTES, seconds: ROUND_SECONDS };
  const rounds = await inTurn(
    bench,
    name,
    async (to) => ((await bench.load.messages(to, options)) * LONG_BYTES) / 1e6,
  );
  const [nginx, haproxy] = (['nginx', 'haproxy'] as const).map((other) =>
    median(rounds.map((round) => round[other])),
  );
  const better = (nginx ?? 0) >= (haproxy ?? 0) ? 'nginx' : 'haproxy';
  return rowAgainst(better, { name, unit: 'MB/s', aim: { kind: 'ratio', atLeast: 0.95 } }, rounds);
}

async function measureHandshakes(bench: Bench): Promise<Row> {
  const name = `handshakes, ${HANDSHAKE_CONNECTIONS} at once`;
  const options = {
    connections: HANDSHAKE_CONNECTIONS,
    messageBytes: SHORT_BYTES,
    seconds: ROUND_SECONDS,
  };
  const rounds = await inTurn(bench, name, (to) => bench.load.handshakes(to, options));
  return rowAgainst('nginx', { name, unit: '/s', aim: { kind: 'ratio', atLeast: 1 } }, rounds);
}

function rowAgainst(
  other: Exclude<ProxyName, 'ours'>,
  what: Pick<Row, 'name' | 'unit' | 'aim'>,
  rounds: Rounds,
): Row {
  return rowOf({
    ...what,
    suite: doorRelay.name,
    baselineName: other,
    rounds: rounds.map((round) => ({ ours: round.ours, baseline: round[other] })),
  });
}

/** All of them, and the echo without anybody in front of it: what load and echo can do at most. */
async function inTurn(
  { context, echo, proxies }: Bench,
  name: string,
  measure: (to: LoadTarget) => Promise<number>,
): Promise<Rounds> {
  const busy: Record<ProxyName, number[]> = { ours: [], nginx: [], haproxy: [], bare: [] };
  const through = (of: ProxyName) => async (): Promise<number> => {
    const { pid } = proxies[of];
    const [startedMs, spentMs] = [performance.now(), processorMs(pid)];
    const figure = await measure(proxies[of]);
    busy[of].push((processorMs(pid) - spentMs) / (performance.now() - startedMs));
    return figure;
  };
  const rounds = await takeTurns<Contestant>({
    rounds: context.isQuick ? 3 : 15,
    warmUps: 1,
    contestants: {
      ours: through('ours'),
      nginx: through('nginx'),
      haproxy: through('haproxy'),
      bare: through('bare'),
      direct: () => measure(echo),
    },
    onRound: (done, total) => context.progress.step(`${name}, round ${done + 1} of ${total}`),
  });
  context.note(describe(name, rounds, busy));
  return rounds;
}

/** Whether the proxies are what was measured: one that is not busy waits for the load, or for the machine. */
function describe(name: string, rounds: Rounds, busy: Readonly<Record<ProxyName, number[]>>): string {
  const [direct, bare] = (['direct', 'bare'] as const).map((of) =>
    median(rounds.map((round) => round[of])).toFixed(0),
  );
  const shares = Object.entries(busy).map(([of, all]) => `${of} ${(100 * median(all)).toFixed(0)} %`);
  return `${name}: ${direct} without a proxy, ${bare} through bare sockets of Node; of their core used ${shares.join(', ')}`;
}

/** A process of its own each time: what was given back before is used again, and would not be seen. */
async function measureIdle(context: BenchContext, load: Load, echo: Echo): Promise<Row> {
  const perConnection =
    (start: (context: BenchContext, echoPort: number) => Promise<Proxy>) => async (): Promise<number> => {
      await using proxy = await start(context, echo.port);
      await using _earlier = await load.hold(proxy, EARLIER_CONNECTIONS, SHORT_BYTES);
      const before = await settledBytes(proxy);
      await using _held = await load.hold(proxy, IDLE_CONNECTIONS, SHORT_BYTES);
      return ((await settledBytes(proxy)) - before) / IDLE_CONNECTIONS / 1024;
    };
  const rounds = await takeTurns({
    rounds: context.isQuick ? 1 : 3,
    warmUps: 0,
    contestants: {
      ours: perConnection(startFrontDoor),
      baseline: perConnection(startNginx),
      haproxy: perConnection(startHaproxy),
    },
    onRound: (done, total) => context.progress.step(`idle connections, round ${done + 1} of ${total}`),
  });
  const haproxy = median(rounds.map((round) => round.haproxy)).toFixed(1);
  context.note(`memory of an idle connection, haproxy: ${haproxy} KiB`);
  return rowOf({
    suite: doorRelay.name,
    name: `memory of an idle connection, of ${IDLE_CONNECTIONS}`,
    unit: 'KiB',
    baselineName: 'nginx',
    aim: { kind: 'figure', below: 8 },
    rounds,
  });
}

async function settledBytes(proxy: Proxy): Promise<number> {
  await delay(SETTLE_MS);
  await proxy.settle();
  return residentBytes(proxy.pid);
}

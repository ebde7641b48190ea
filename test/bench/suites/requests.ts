import { mkdtempSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { RpcClient } from '../../../src/api/client.ts';
import { Child } from '../child.ts';
import type { BareReply } from '../children/bare-http.ts';
import type { BareStoreStart } from '../children/bare-store.ts';
import type { NodeStart } from '../children/node.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf, type Row } from '../measure/row.ts';
import { median } from '../measure/statistics.ts';
import { formatFigure } from '../report/table.ts';
import type { BenchContext, Suite } from '../suite.ts';
import { postRepeatedly } from '../wrk.ts';

const CONNECTIONS = 64;
/** Many short rounds: whoever else is at work here disturbs some of them, not the median. */
const ROUND_SECONDS = 1;
/** A first request: nothing but an image. */
const SPEC = { image: 'nginx', arguments: [], resources: {}, env: {} };

/** Calls per second over HTTP. The jobs stay in the queue: the workers and the engine are other suites' matter. */
export const status: Suite = {
  name: 'status',
  title: `Status per second at ${CONNECTIONS} connections`,
  run: async (context) => {
    await using target = await startTarget(context);
    const { job_id } = await target.client.call('ContainerService.Create', SPEC);
    const body = rpcBody('ContainerService.Status', { job_id });
    const { row } = await measureCall(context, target.port, {
      suite: 'status',
      name: 'Status',
      body,
      atLeast: 0.85,
    });
    return [row];
  },
};

export const create: Suite = {
  name: 'create',
  title: `durable Creates per second at ${CONNECTIONS} connections`,
  run: async (context) => {
    await using target = await startTarget(context);
    const body = rpcBody('ContainerService.Create', SPEC);
    const call: CallUnderTest = { suite: 'create', name: 'durable Create', body, atLeast: 0.7 };
    const { row, answered } = await measureCall(context, target.port, call);
    const { waiting } = await target.client.call('QueueService.Stats', {});
    if (waiting < answered)
      throw new Error(`${answered} Creates were answered, but only ${waiting} jobs wait`);
    context.note(await durabilityAlone(context, body));
    return [row];
  },
};

/** How much of the distance to the baseline is the disk's, whoever stands in front of it. */
async function durabilityAlone(context: BenchContext, body: string): Promise<string> {
  const directory = mkdtempSync(join(context.workDir, 'bare-store-'));
  await using store = new Child('bare-store', context);
  await using bare = new Child('bare-http', context);
  const start: BareStoreStart = { directory, spec: SPEC };
  const storePort = await store.ask<number>('listen', start);
  const barePort = await bare.ask<number>('listen', { headers: [], text: '{}' } satisfies BareReply);
  const load = async (port: number): Promise<number> => {
    const url = `http://127.0.0.1:${port}/jrpc`;
    const what = { url, body, connections: CONNECTIONS, seconds: ROUND_SECONDS };
    return (await postRepeatedly(what, context.workDir)).perSecond;
  };
  const rounds = await interleave({
    rounds: context.isQuick ? 3 : 7,
    warmUps: 1,
    ours: () => load(storePort),
    baseline: () => load(barePort),
    onRound: (done, total) => context.progress.step(`durability alone, round ${done + 1} of ${total}`),
  });
  const perSecond = formatFigure(median(rounds.map((round) => round.ours)), '/s');
  const ratio = median(rounds.map((round) => round.ours / round.baseline)).toFixed(2);
  return `bare node:http that commits the rows of a Create and does nothing else: ${perSecond}, ratio ${ratio}`;
}

interface Target extends AsyncDisposable {
  readonly port: number;
  readonly client: RpcClient;
}

/** A whole node whose queue is long and paused. */
async function startTarget(context: BenchContext): Promise<Target> {
  const node = new Child('node', context);
  const dataDir = mkdtempSync(join(context.workDir, 'node-'));
  const start: NodeStart = { engine: 'none', dataDir, flags: { 'queue-size': '1000000' } };
  const port = await node.ask<number>('start', start);
  const client = new RpcClient({ address: `127.0.0.1:${port}` });
  await client.call('QueueService.Pause', {});
  return { port, client, [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]() };
}

interface CallUnderTest {
  readonly suite: string;
  readonly name: string;
  readonly body: string;
  readonly atLeast: number;
}

async function measureCall(
  context: BenchContext,
  port: number,
  { suite, name, body, atLeast }: CallUnderTest,
): Promise<{ row: Row; answered: number }> {
  await using bare = new Child('bare-http', context);
  const barePort = await bare.ask<number>('listen', await replyTo(port, body));
  let answered = 0;
  const load = async (to: number): Promise<number> => {
    const url = `http://127.0.0.1:${to}/jrpc`;
    const { perSecond, requests } = await postRepeatedly(
      { url, body, connections: CONNECTIONS, seconds: ROUND_SECONDS },
      context.workDir,
    );
    if (to === port) answered += requests;
    return perSecond;
  };
  const rounds = await interleave({
    rounds: context.isQuick ? 3 : 15,
    warmUps: 1,
    ours: () => load(port),
    baseline: () => load(barePort),
    onRound: (done, total) => context.progress.step(`${name}, round ${done + 1} of ${total}`),
  });
  const row = rowOf({
    suite,
    name,
    unit: '/s',
    baselineName: 'bare node:http',
    aim: { kind: 'ratio', atLeast },
    rounds,
  });
  return { row, answered };
}

function rpcBody(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params: [params], id: 1 });
}

/** What Node adds to every reply by itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['date', 'connection', 'keep-alive']);

/** The node's own reply, so that the other side sends the very same bytes. Fails when it is not a result. */
function replyTo(port: number, body: string): Promise<BareReply> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json' };
    const call = request({ host: '127.0.0.1', port, path: '/jrpc', method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (!text.includes('"result"')) return reject(new Error(`unexpected reply: ${text}`));
        resolve({ headers: ownHeaders(response.rawHeaders), text });
      });
    });
    call.once('error', reject).end(body);
  });
}

function ownHeaders(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, index) => {
    const name = rawHeaders[index - (index % 2)] ?? '';
    return !OWN_HEADERS.has(name.toLowerCase());
  });
}

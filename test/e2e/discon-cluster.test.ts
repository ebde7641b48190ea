import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { disconArguments, messageIn } from '../support/discon/arguments.ts';
import { DisconClient } from '../support/discon/client.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../support/discon/image.ts';
import { RawWebSocket } from '../support/discon/raw-web-socket.ts';
import { type Member, ProcessCluster, untilConnected } from '../support/cluster-processes.ts';
import { DaemonBundle } from '../support/daemon-bundle.ts';
import { requireDocker } from '../support/docker.ts';
import { waitFor } from '../support/wait-for.ts';

const SOON_MS = 30_000;

let docker: Docker;
let cleanUp: AsyncDisposableStack;
let image: ControllerImage;
/** Has the controller. */
let one: Member;
/** Has none, and clients come to it. */
let two: Member;

beforeAll(async () => {
  docker = await requireDocker();
  cleanUp = new AsyncDisposableStack();
  image = cleanUp.use(await importControllerImage(docker, { type: null }));
  const bundle = cleanUp.use(await DaemonBundle.make());
  const cluster = cleanUp.use(
    new ProcessCluster({
      program: bundle.program,
      settings: { 'catalog.discovery': 'manual', 'frontdoor.stop_timeout': '2s' },
    }),
  );
  one = await cluster.add();
  two = await cluster.add();
  const entry = {
    id: 'rosco',
    name: 'ROSCO',
    version: '2.9.4',
    image: image.reference,
    description: '',
    library_path: LIBRARY_PATHS.controller,
    proc_name: 'DISCON',
    ports: { internal: 8080, external: 0 },
    resources: { memory: '64m' },
  };
  mkdirSync(one.home.dataDir, { recursive: true });
  writeFileSync(join(one.home.dataDir, 'controllers.json'), JSON.stringify({ controllers: [entry] }));
  await Promise.all([one, two].map((member) => member.start()));
  await untilConnected([one, two]);
}, 120_000);
afterEach(() =>
  waitFor('no container to be left', SOON_MS, async () => (await containersOf(one)).length === 0),
);
afterAll(() => cleanUp.disposeAsync());

const containersOf = async (member: Member): Promise<Docker.ContainerInfo[]> =>
  (await member.home.containers(docker)).filter(({ Labels }) => 'container-manager.sharing' in Labels);

test('a simulation that comes to a node without the controller gets its container on the node that has it', async () => {
  using client = await DisconClient.connect({
    serverAddress: `127.0.0.1:${two.home.port}`,
    libraryPath: 'rosco',
    proc: 'DISCON',
  });
  for (let step = 1; step <= 50; step += 1) {
    const given = disconArguments();
    await client.call(given);
    expect(messageIn(given)).toBe(`DISCON called ${step} times`);
  }
  expect(await containersOf(one)).toHaveLength(1);
  expect(await containersOf(two)).toEqual([]);
  const { jobs } = await two.rpc('JobService.List', { all_nodes: true, states: ['running'] });
  expect(jobs).toMatchObject([{ name: 'rosco', owner: one.id }]);
});

test('a job is reached by its id from a node that does not run it', async () => {
  const { job_id } = await one.rpc('ContainerService.Create', {
    image: image.reference,
    healthcheck: { tcp: 8080 },
  });
  await two.rpc('JobService.Wait', { job_id, until: 'running' });
  const target = `/ws?job=${job_id}&path=${encodeURIComponent(LIBRARY_PATHS.controller)}&proc=ECHO`;
  using socket = await RawWebSocket.open({ host: '127.0.0.1', port: two.home.port, target });
  await socket.sendText('from afar');
  expect(await socket.receive()).toMatchObject({ data: Buffer.from('from afar') });
  await two.rpc('ContainerService.Remove', { job_id, force: true });
});

test('when the node that has the container dies, its client is told by the end of the connection', async () => {
  using socket = await RawWebSocket.open({
    host: '127.0.0.1',
    port: two.home.port,
    target: '/ws?controller=rosco&proc=ECHO',
  });
  const startedMs = performance.now();
  await one.node.kill();
  await socket.ended;
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  await one.start();
  await untilConnected([one, two]);
});

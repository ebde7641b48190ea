import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { disconArguments } from '../../support/discon/arguments.ts';
import { DisconClient } from '../../support/discon/client.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../../support/discon/image.ts';
import { DockerRun } from '../../support/docker.ts';
import { NodeHome, type NodeProcess } from '../../support/node-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cli, type CliResult } from '../cli/cli-process.ts';

const SOON_MS = 40_000;
/** Other tests use the engine as well: nobody else has this one. */
const ID = `rosco_${randomUUID().slice(0, 8)}`;

let docker: DockerRun;
let home: NodeHome;
let node: NodeProcess;
let image: ControllerImage;

beforeAll(async () => {
  docker = await DockerRun.start();
  image = await importControllerImage(docker.docker, { id: ID, name: 'Rosco', version: '2.9.4' });
  home = await NodeHome.create({ settings: { 'catalog.discovery': 'manual' } });
  node = await home.start();
});
afterAll(async () => {
  await home?.[Symbol.asyncDispose]();
  await image?.[Symbol.asyncDispose]();
  await docker?.[Symbol.asyncDispose]();
});

const call = (...args: string[]): Promise<CliResult> => cli(args, { port: node.port });

test('an image is discovered, looked into, connected to, and its connection closed', async () => {
  const discovered = await call('controllers', 'discover');
  expect(discovered.stdout).toMatch(new RegExp(`^Added .*\\b${ID}@2\\.9\\.4\\b`, 'm'));
  const shown = await call('controllers', 'show', ID);
  expect(shown.stdout).toMatch(/^Status +valid$/m);
  expect(shown.stdout).toMatch(/^Format +ELF 64-bit/m);
  expect(shown.stdout).toMatch(/^Source +discovered$/m);
  expect((await call('controllers', 'validate', ID)).stdout).toBe(
    `${ID}@2.9.4 is valid: Controller is valid, library file exists at ${LIBRARY_PATHS.controller}\n`,
  );

  using client = await DisconClient.connect({
    ...{ serverAddress: `127.0.0.1:${node.port}`, libraryPath: ID, proc: 'DISCON' },
  });
  await client.call(disconArguments());
  const [session] = (await node.rpc('SessionService.List', {})).sessions;
  expect(session).toMatchObject({ client: '127.0.0.1', controller: `${ID}@2.9.4` });
  const listed = await call('connections');
  expect(listed.stdout).toMatch(new RegExp(`^[0-9a-f]{8} +127\\.0\\.0\\.1 +${ID}@2\\.9\\.4 `, 'm'));
  const { text } = await node.get('/containers', { accept: 'text/plain' });
  expect(text).toMatch(
    new RegExp(`^Container: cm-${session?.job_id} \\(ID: [0-9a-f]{12}, Client: 127\\.0\\.0\\.1\\)\n$`),
  );

  const closed = await call('connections', 'close', session?.session_id.slice(0, 8) ?? '');
  expect(closed).toMatchObject({ code: 0, stdout: `${session?.session_id}  closed\n` });
  await waitFor(
    'its container to go',
    SOON_MS,
    async () => (await home.containers(docker.docker)).length === 0,
  );
  expect((await call('connections')).stdout).toBe('');
});

test('a library without its procedure is not valid, and nobody is led to it', async () => {
  const id = `${ID}-bad`;
  const entry = {
    id,
    version: '1',
    image: image.reference,
    library_path: LIBRARY_PATHS.withoutSymbol,
    proc_name: 'DISCON',
  };
  const added = await cli(['controllers', 'add', '-'], { port: node.port, input: JSON.stringify(entry) });
  expect(added).toMatchObject({ code: 0, stderr: '' });
  expect(added.stdout).toMatch(new RegExp(`^${id}@1 {2}added, invalid: .*symbol DISCON not found`));
  const resolution = await node.rpc('ControllerService.Resolve', { controller: id });
  expect(resolution).toMatchObject({ resolved: false, reason: 'controller_invalid' });
  const validated = await call('controllers', 'validate', id);
  expect(validated).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('symbol DISCON not found') as string,
  });
  expect((await call('controllers', 'rm', id, '--yes')).stdout).toBe(`${id}  removed\n`);
});

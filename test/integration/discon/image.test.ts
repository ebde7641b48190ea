import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disconArguments, messageIn } from '../../support/discon/arguments.ts';
import { DisconClient } from '../../support/discon/client.ts';
import { textOf } from '../../support/discon/frames.ts';
import {
  type ControllerImage,
  type ControllerImageOptions,
  importControllerImage,
  LIBRARY_PATHS,
} from '../../support/discon/image.ts';
import { ServerContainer } from '../../support/discon/server-container.ts';
import { DockerRun, TEST_LABEL } from '../../support/docker.ts';

let run: DockerRun;
const made: ControllerImage[] = [];

beforeAll(async () => {
  run = await DockerRun.start();
});
afterEach(async () => {
  for (const image of made.splice(0)) await image[Symbol.asyncDispose]();
});
afterAll(async () => {
  await run[Symbol.asyncDispose]();
});

async function importImage(options: ControllerImageOptions = {}): Promise<ControllerImage> {
  const image = await importControllerImage(run.docker, options);
  made.push(image);
  return image;
}

async function labelsOf(image: ControllerImage): Promise<Record<string, string>> {
  return (await run.docker.getImage(image.reference).inspect()).Config.Labels;
}

describe('the image of a controller', () => {
  it('starts what the images in use start, in the same folder, on the same port', async () => {
    const { reference, id } = await importImage();
    const { Id, Config } = await run.docker.getImage(reference).inspect();
    expect(Id).toBe(id);
    expect(Config).toMatchObject({
      Entrypoint: ['/usr/local/bin/discon-server'],
      Cmd: ['--port=8080', '--debug=1'],
      WorkingDir: '/controller',
      ExposedPorts: { '8080/tcp': {} },
    });
  });

  it('says of its controller what it is told, and the rest by default', async () => {
    expect(await labelsOf(await importImage({ id: 'rosco', version: '2.9.4' }))).toEqual({
      [TEST_LABEL]: 'discon',
      'org.discon.type': 'controller',
      'org.discon.controller.id': 'rosco',
      'org.discon.controller.name': 'Test controller',
      'org.discon.controller.version': '2.9.4',
      'org.discon.controller.library_path': LIBRARY_PATHS.controller,
      'org.discon.controller.proc_name': 'DISCON',
      'org.discon.controller.ports': '{"internal":8080,"external":0}',
    });
  });

  it('leaves labels away, and takes any text in them', async () => {
    const description = `"quoted", $HOME, \\ and 'more'`;
    const image = await importImage({ type: null, name: null, description, labels: { other: 'yes' } });
    const labels = await labelsOf(image);
    expect(Object.keys(labels)).not.toContain('org.discon.type');
    expect(Object.keys(labels)).not.toContain('org.discon.controller.name');
    expect(labels).toMatchObject({ 'org.discon.controller.description': description, other: 'yes' });
  });

  it('has no shell, nor anything else to run', async () => {
    const { reference } = await importImage();
    for (const program of ['sh', '/bin/sh', 'ls']) {
      const container = await run.docker.createContainer({
        Image: reference,
        Labels: run.labels,
        Entrypoint: [program],
        Cmd: [],
      });
      await expect(container.start()).rejects.toThrow(/no such file|not found/);
    }
  });

  it('may be made by several at once, each of its own, and of any name', async () => {
    const name = `cm-test-discon/${randomUUID()}`;
    const images = await Promise.all([
      importImage({ id: 'a', version: '1.0.0', env: { CONTROLLER_NAME: 'a 1.0.0' } }),
      importImage({ id: 'a', version: '1.1.0', env: { CONTROLLER_NAME: 'a 1.1.0' } }),
      importImage({ id: 'b', reference: `${name}:2`, env: { CONTROLLER_NAME: 'b' } }),
    ]);
    expect(new Set(images.map(({ id }) => id)).size).toBe(3);
    expect(images[2]?.reference).toBe(`${name}:2`);
    const answers = await Promise.all(images.map(nameOfController));
    expect(answers).toEqual(['a 1.0.0', 'a 1.1.0', 'b']);
  });

  it('is gone once it is disposed of, and twice is as once', async () => {
    const image = await importImage();
    await image[Symbol.asyncDispose]();
    await image[Symbol.asyncDispose]();
    await expect(run.docker.getImage(image.reference).inspect()).rejects.toMatchObject({ statusCode: 404 });
  });
});

/** What the controller in an image says it is called, after a call. */
async function nameOfController(image: ControllerImage): Promise<string> {
  const server = await ServerContainer.start(run, image.reference);
  using client = await DisconClient.connect({
    serverAddress: server.address,
    libraryPath: LIBRARY_PATHS.controller,
    proc: 'DISCON',
  });
  const given = disconArguments();
  await client.call(given);
  expect(messageIn(given)).toBe('DISCON called 1 times');
  return textOf(given.outName);
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PullProgress } from '../../../../src/runtime/driver.ts';
import { DockerDriver } from '../../../../src/runtime/docker/docker-driver.ts';
import { FakeEngine, json } from '../../../support/fake-engine.ts';
import { PATIENCE } from '../../../support/patience.ts';

const IMAGE = { Id: 'sha256:1', RepoDigests: ['other/app@sha256:2', 'app@sha256:3'], Size: 7 };
const LINES = [
  { status: 'Pulling from library/app', id: '1' },
  { status: 'Pulling fs layer', id: 'a', progressDetail: {} },
  { status: 'Pulling fs layer', id: 'b', progressDetail: {} },
  { status: 'Already exists', id: 'c', progressDetail: {} },
  { status: 'Downloading', id: 'a', progressDetail: { current: 40, total: 100 } },
  { status: 'Downloading', id: 'b', progressDetail: { current: 10, total: 50 } },
  { status: 'Download complete', id: 'a', progressDetail: {} },
  { status: 'Extracting', id: 'a', progressDetail: { current: 1, total: 100 } },
  { status: 'Pull complete', id: 'a', progressDetail: {} },
];

let engine: FakeEngine;
let driver: DockerDriver;
let home: string;
/** Ends the pulls under way. */
let finish: () => void;

beforeEach(async () => {
  engine = await FakeEngine.start();
  home = await mkdtemp(join(tmpdir(), 'cm-pull-'));
  driver = new DockerDriver({ host: engine.host }, { env: { DOCKER_CONFIG: home } });
  engine.on('GET', /images/, json(200, IMAGE));
  engine.on('POST', /images\/create/, (response) => {
    response.writeHead(200);
    response.write(LINES.map((line) => `${JSON.stringify(line)}\n`).join(''));
    finish = () => response.end();
  });
});
afterEach(async () => {
  await driver[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const pullRequests = (): FakeEngine['requests'] =>
  engine.requests.filter(({ path }) => path === '/images/create');

describe('pulls', () => {
  it('ask the engine once for all who wait, in whatever form they write the name', async () => {
    const pulls = ['app:1', 'library/app:1', 'docker.io/library/app:1'].map((text) =>
      driver.pullImage(text, {}),
    );
    await expect.poll(() => pullRequests().length, PATIENCE).toBe(1);
    const late = driver.pullImage('app:1', {});
    finish();
    const images = await Promise.all([...pulls, late]);
    expect(images.every((image) => image.id === 'sha256:1' && image.digest === 'app@sha256:3')).toBe(true);
    expect(pullRequests()).toHaveLength(1);
    const { query } = pullRequests()[0] ?? {};
    expect(Object.fromEntries(query ?? [])).toEqual({ fromImage: 'docker.io/library/app', tag: '1' });
  });

  it('tell the sums over all layers, to who comes late too', async () => {
    const sums: PullProgress = { layersDone: 2, layersTotal: 3, downloadedBytes: 110, totalBytes: 150 };
    const early: PullProgress[] = [];
    const first = driver.pullImage('app:1', { onProgress: (progress) => early.push(progress) });
    await expect.poll(() => early.at(-1), PATIENCE).toEqual(sums);
    const late: PullProgress[] = [];
    const second = driver.pullImage('app:1', { onProgress: (progress) => late.push(progress) });
    expect(late).toEqual([sums]);
    finish();
    await Promise.all([first, second]);
  });

  it('close the connection when the last waiter leaves, and not before', async () => {
    const aborts = [new AbortController(), new AbortController()];
    const pulls = aborts.map(({ signal }) =>
      driver.pullImage('app:1', { signal }).catch((error: unknown) => error),
    );
    await expect.poll(() => pullRequests().length, PATIENCE).toBe(1);
    const openBefore = engine.openCount;
    aborts[0]?.abort('first');
    expect(await pulls[0]).toBe('first');
    expect(engine.openCount).toBe(openBefore);
    aborts[1]?.abort('second');
    expect(await pulls[1]).toBe('second');
    await expect.poll(() => engine.openCount, PATIENCE).toBe(openBefore - 1);
  });

  it.each([
    ['{"error":"manifest unknown: manifest unknown"}', 'image_not_found'],
    ['{"error":"manifest for app:1 not found"}', 'image_not_found'],
    [
      '{"error":"pull access denied for app, repository does not exist or may require \'docker login\'"}',
      'image_not_found',
    ],
    ['{"errorDetail":{"message":"unauthorized: authentication required"}}', 'image_unauthorized'],
    ['{"error":"denied: requested access to the resource is denied"}', 'image_unauthorized'],
    ['{"error":"toomanyrequests: slow down"}', 'image_error'],
    ['{"error":"unexpected EOF"}', 'image_error'],
    ['{"error":"write /x: no space left on device"}', 'image_error'],
  ])('take %s in the stream for %s', async (line, code) => {
    engine.on('POST', /images\/create/, (response) => void response.writeHead(200).end(`${line}\n`));
    await expect(driver.pullImage('app:1', {})).rejects.toMatchObject({ code });
  });

  it('that break off may be tried again', async () => {
    engine.on('POST', /images\/create/, (response, socket) => {
      response.writeHead(200);
      response.write('{"status":"Pulling"}\n', () => socket.destroy());
    });
    await expect(driver.pullImage('app:1', {})).rejects.toMatchObject({
      code: 'image_error',
      retryable: true,
    });
  });

  it('present credentials to the registry they are for, and to no other', async () => {
    const auth = Buffer.from('me:päss/word+:?').toString('base64');
    await writeFile(
      join(home, 'config.json'),
      JSON.stringify({ auths: { 'https://reg.example': { auth } } }),
    );
    engine.on('POST', /images\/create/, (response) => void response.writeHead(200).end());
    await driver.pullImage('reg.example/app', {});
    await driver.pullImage('other.example/app', {});
    const headers = pullRequests().map((request) => request.headers['x-registry-auth']);
    // The engine reads base64 for URLs, padded, and takes anything else for none at all.
    expect(headers[0]).toMatch(/^[A-Za-z0-9_-]+={0,2}$/);
    expect((headers[0]?.length ?? 1) % 4).toBe(0);
    expect(JSON.parse(Buffer.from(String(headers[0]), 'base64url').toString())).toEqual({
      username: 'me',
      password: 'päss/word+:?',
      serveraddress: 'reg.example',
    });
    expect(headers[1]).toBeUndefined();
    for (const request of engine.requests) expect(request.query.toString()).not.toContain('me');
  });
});

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PullProgress } from '../../../src/runtime/driver.ts';
import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import type { DockerDriverOptions } from '../../../src/runtime/docker/options.ts';
import { importImage, requireDocker } from '../../support/docker.ts';
import { REGISTRY_CREDENTIALS, TestRegistry } from '../../support/registry.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';

const MIB = 1024 ** 2;

let docker: Docker;
let registry: TestRegistry;
let guarded: TestRegistry;
let home: string;
const open: AsyncDisposable[] = [];

beforeAll(async () => {
  docker = await requireDocker();
  [registry, guarded] = await Promise.all([
    TestRegistry.start(docker),
    TestRegistry.start(docker, { auth: true }),
  ]);
  home = await mkdtemp(join(tmpdir(), 'cm-home-'));
});
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});
afterAll(async () => {
  await Promise.all([registry[Symbol.asyncDispose](), guarded[Symbol.asyncDispose]()]);
  await rm(home, { recursive: true, force: true });
});

function makeDriver(options: DockerDriverOptions = {}, config: string = home): DockerDriver {
  const driver = new DockerDriver(options, { env: { ...process.env, DOCKER_CONFIG: config } });
  open.push(driver);
  return driver;
}

/** An image of its own in the registry, with a layer of so many bytes that cannot be made smaller. */
function pushImage(target: TestRegistry, bytes: number): Promise<string> {
  const name = `app-${randomBytes(4).toString('hex')}`;
  return target.push(name, (engine, reference) => importImage(engine, reference, randomBytes(bytes)));
}

/** The registry as it is seen through a relay, and the reference seen so. */
async function through(reference: string): Promise<{ relay: TcpRelay; reference: string }> {
  const relay = await TcpRelay.start(registry.port);
  open.push(relay);
  return { relay, reference: reference.replace(registry.address, relay.address) };
}

async function writeConfig(content: unknown): Promise<string> {
  const directory = join(home, randomBytes(4).toString('hex'));
  await mkdir(directory);
  await writeFile(join(directory, 'config.json'), JSON.stringify(content));
  return directory;
}

const basic = (password: string): { auth: string } => ({
  auth: Buffer.from(`${REGISTRY_CREDENTIALS.username}:${password}`).toString('base64'),
});

describe('a pull from a registry', () => {
  it('fetches the image, and tells of bytes and layers up to their sums', async () => {
    const reference = await pushImage(registry, 8 * MIB);
    const seen: PullProgress[] = [];
    const image = await makeDriver().pullImage(reference, { onProgress: (progress) => seen.push(progress) });
    expect(image.digest).toMatch(
      new RegExp(`^${reference.slice(0, reference.lastIndexOf(':'))}@sha256:[0-9a-f]{64}$`),
    );
    expect(image.sizeBytes).toBeGreaterThan(8 * MIB);
    const last = seen.at(-1);
    expect(last?.layersDone).toBe(last?.layersTotal);
    expect(last?.totalBytes).toBeGreaterThan(8 * MIB);
    expect(last?.downloadedBytes).toBe(last?.totalBytes);
    for (const [index, progress] of seen.entries()) {
      expect(progress.downloadedBytes).toBeGreaterThanOrEqual(seen[index - 1]?.downloadedBytes ?? 0);
    }
    expect(await makeDriver().pullImage(image.digest ?? '', {})).toMatchObject({
      id: image.id,
      digest: image.digest,
    });
  });

  it('is shared by all who want the image, and each hears how far it is', async () => {
    const { relay, reference } = await through(await pushImage(registry, 4 * MIB));
    relay.fault = { kind: 'slow', bytesPerSecond: 8 * MIB };
    const driver = makeDriver();
    const heard = Array.from({ length: 10 }, () => 0);
    const images = await Promise.all(
      heard.map((_count, index) =>
        driver.pullImage(reference, { onProgress: () => (heard[index] = (heard[index] ?? 0) + 1) }),
      ),
    );
    expect(new Set(images.map((image) => image.id)).size).toBe(1);
    expect(Math.min(...heard)).toBeGreaterThan(0);
    // One transfer, not ten.
    expect(relay.passedBytes).toBeLessThan(2 * 5 * MIB);
  });

  it('goes on when one of two waiters leaves, and is really ended when the last does', async () => {
    const { relay, reference } = await through(await pushImage(registry, 8 * MIB));
    relay.fault = { kind: 'slow', bytesPerSecond: MIB };
    const driver = makeDriver();
    const first = new AbortController();
    const second = new AbortController();
    const started = Promise.withResolvers<void>();
    const onProgress = ({ downloadedBytes }: PullProgress): void => {
      if (downloadedBytes > 0) started.resolve();
    };
    const pulls = [first, second].map(({ signal }) => driver.pullImage(reference, { signal, onProgress }));
    await started.promise;
    first.abort(new Error('first left'));
    await expect(pulls[0]).rejects.toThrow('first left');
    expect(relay.connectionCount).toBeGreaterThan(0);
    second.abort(new Error('second left'));
    await expect(pulls[1]).rejects.toThrow('second left');
    await expect.poll(() => relay.connectionCount, { timeout: 30_000 }).toBe(0);
    expect(await driver.findImage(reference)).toBeUndefined();
    // Whoever comes later begins anew.
    relay.fault = { kind: 'none' };
    await driver.pullImage(reference, {});
  });

  it('times out when nothing arrives any more', async () => {
    const { relay, reference } = await through(await pushImage(registry, 8 * MIB));
    relay.fault = { kind: 'stall', afterBytes: MIB };
    const startedMs = performance.now();
    await expect(makeDriver({ pullInactivityMs: 1500 }).pullImage(reference, {})).rejects.toMatchObject({
      code: 'timeout',
      retryable: true,
    });
    // Not only after the two minutes that are the default.
    expect(performance.now() - startedMs).toBeLessThan(40_000);
  });

  it('may be slow as long as something arrives, up to its own limit', async () => {
    const { relay, reference } = await through(await pushImage(registry, 4 * MIB));
    // Twice as long as the limit for silence; a slow disk is silent for a moment as well.
    relay.fault = { kind: 'slow', bytesPerSecond: MIB / 2 };
    await makeDriver({ pullInactivityMs: 4000 }).pullImage(reference, {});
    const late = await through(await pushImage(registry, 8 * MIB));
    late.relay.fault = { kind: 'slow', bytesPerSecond: MIB };
    const driver = makeDriver({ pullTimeoutMs: 1500 });
    await expect(driver.pullImage(late.reference, {})).rejects.toMatchObject({ code: 'timeout' });
  });

  it('gets over a connection that is cut once', async () => {
    const { relay, reference } = await through(await pushImage(registry, 8 * MIB));
    relay.fault = { kind: 'cut', afterBytes: 2 * MIB, once: true };
    expect((await makeDriver().pullImage(reference, {})).sizeBytes).toBeGreaterThan(8 * MIB);
    expect(relay.cutCount).toBe(1);
  });

  it('gives up, to be tried again, when the registry stays cut off', async () => {
    const { relay, reference } = await through(await pushImage(registry, 8 * MIB));
    relay.fault = { kind: 'cut', afterBytes: 2 * MIB };
    await expect(makeDriver({ pullInactivityMs: 4000 }).pullImage(reference, {})).rejects.toMatchObject({
      retryable: true,
    });
  });

  it('says what a registry that is not there is: worth another try', async () => {
    const relay = await TcpRelay.start(registry.port);
    const { address } = relay;
    await relay[Symbol.asyncDispose]();
    await expect(makeDriver().pullImage(`${address}/app:1`, {})).rejects.toMatchObject({
      code: 'image_error',
      retryable: true,
    });
  });

  it('says image_not_found for an unknown tag, and for an unknown name', async () => {
    const reference = await pushImage(registry, 1000);
    const driver = makeDriver();
    const unknownTag = `${reference.slice(0, reference.lastIndexOf(':'))}:nope`;
    await expect(driver.pullImage(unknownTag, {})).rejects.toMatchObject({
      code: 'image_not_found',
      retryable: false,
    });
    await expect(driver.pullImage(`${registry.address}/nope:1`, {})).rejects.toMatchObject({
      code: 'image_not_found',
    });
    const unknownDigest = `${registry.address}/nope@sha256:${'0'.repeat(64)}`;
    await expect(driver.pullImage(unknownDigest, {})).rejects.toMatchObject({ code: 'image_not_found' });
  });
});

describe('a pull from a registry that wants credentials', () => {
  it('presents those of the docker config file', async () => {
    const reference = await pushImage(guarded, 1000);
    const config = await writeConfig({ auths: { [guarded.address]: basic(REGISTRY_CREDENTIALS.password) } });
    expect(await makeDriver({}, config).pullImage(reference, {})).toMatchObject({
      id: expect.any(String) as string,
    });
  });

  it.each([
    ['none', {}],
    ['wrong ones', { auths: 'wrong' }],
    ['those of another registry only', { auths: 'other' }],
  ])('says image_unauthorized with %s', async (_what, { auths }: { auths?: string }) => {
    const reference = await pushImage(guarded, 1000);
    const server = auths === 'other' ? 'other.example:5000' : guarded.address;
    const entry = basic(auths === 'wrong' ? 'wrong-password' : REGISTRY_CREDENTIALS.password);
    const config = await writeConfig(auths === undefined ? {} : { auths: { [server]: entry } });
    const error: unknown = await makeDriver({}, config)
      .pullImage(reference, {})
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'image_unauthorized', retryable: false });
    expect(JSON.stringify(error) + String(error)).not.toContain(entry.auth);
  });
});

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import type { InstancePlan } from '../../src/runtime/driver.ts';
import { follow } from './engine-progress.ts';
import { type FileImage, importFileImage } from './file-image.ts';

const run = promisify(execFile);

/** Made here, from nothing but busybox: no registry is needed. */
export const TEST_IMAGE = 'container-manager-test:busybox';
/** On every container and network that tests make, so that leftovers can be found whatever died. */
export const TEST_LABEL = 'container-manager-test';
const BUSYBOX_PATHS = ['/bin/busybox', '/usr/bin/busybox', '/bin/busybox.static'];
/** What tests call by name; busybox knows itself by the name it is called by. */
const APPLETS = [
  'sh',
  'sleep',
  'echo',
  'cat',
  'ls',
  'id',
  'nc',
  'httpd',
  'true',
  'false',
  'kill',
  'dd',
  'ping',
  'wget',
];

/** The engine, for tests to look behind the driver's back. Fails, with what to do, when none answers. */
export async function requireDocker(): Promise<Docker> {
  const docker = new Docker();
  try {
    await docker.ping();
  } catch (error) {
    throw new Error('no Docker Engine answers; start one, or run: npm run setup', { cause: error });
  }
  return docker;
}

/** Makes the test image unless it is there; files that run side by side may both make it, with the same content. */
export async function buildTestImage(docker: Docker): Promise<string> {
  const isThere = await docker
    .getImage(TEST_IMAGE)
    .inspect()
    .then(
      () => true,
      () => false,
    );
  if (!isThere) await importImage(docker, TEST_IMAGE);
  return TEST_IMAGE;
}

/** An image under another name, with `extra` in it so that its content is its own, and a layer of that many bytes. */
export async function importImage(docker: Docker, reference: string, extra?: Buffer): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cm-image-'));
  try {
    const archive = await writeRootArchive(directory, extra);
    const colon = reference.lastIndexOf(':');
    const stream = await docker.importImage(archive, {
      repo: reference.slice(0, colon),
      tag: reference.slice(colon + 1),
      changes: ['ENV PATH=/bin'],
    });
    await follow(docker, stream);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function writeRootArchive(directory: string, extra: Buffer | undefined): Promise<string> {
  const root = join(directory, 'root');
  for (const path of ['bin', 'tmp', 'etc']) await mkdir(join(root, path), { recursive: true });
  await copyFile(await findBusybox(), join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nguest:x:1000:1000:guest:/:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nguest:x:1000:\n');
  if (extra !== undefined) await writeFile(join(root, 'extra'), extra);
  const archive = join(directory, 'root.tar');
  await run('tar', ['-C', root, '--owner=0', '--group=0', '-cf', archive, '.']);
  return archive;
}

export async function findBusybox(): Promise<string> {
  for (const path of BUSYBOX_PATHS) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    // A busybox that needs libraries would not run in an image without any.
    if (isThere && (await isStatic(path))) return path;
  }
  throw new Error('no static busybox on this machine; run: apt-get install -y busybox-static');
}

async function isStatic(path: string): Promise<boolean> {
  const { stdout } = await run('ldd', [path]).catch((error: { stdout?: string; stderr?: string }) => ({
    stdout: `${error.stdout ?? ''}${error.stderr ?? ''}`,
  }));
  return /not a dynamic executable|statically linked/.test(stdout);
}

/** Keeps one test run apart from others on the same engine. Dispose to remove all that carries its labels. */
export class DockerRun implements AsyncDisposable {
  readonly docker: Docker;
  readonly id = randomUUID();
  readonly labels: Readonly<Record<string, string>> = { [TEST_LABEL]: this.id };
  readonly network = `cm-test-${this.id.slice(0, 8)}`;
  readonly #images: string[] = [];
  #count = 0;

  constructor(docker: Docker) {
    this.docker = docker;
  }

  static async start(): Promise<DockerRun> {
    const docker = await requireDocker();
    await buildTestImage(docker);
    return new DockerRun(docker);
  }

  /** A plan that runs until it is stopped. */
  plan(changes: Partial<InstancePlan> = {}): InstancePlan {
    this.#count += 1;
    return {
      name: `cm-test-${this.id.slice(0, 8)}-${this.#count}`,
      image: TEST_IMAGE,
      entrypoint: undefined,
      arguments: ['sleep', '600'],
      env: {},
      workingDir: undefined,
      user: undefined,
      hasCapabilities: true,
      files: 'writable',
      network: 'none',
      ports: [],
      memoryBytes: 64 * 1024 ** 2,
      cpus: 1,
      pids: 64,
      stopSignal: undefined,
      healthcheck: undefined,
      ...changes,
      labels: { ...this.labels, ...changes.labels },
    };
  }

  /** A local image of these files, which goes with the run; its reference. */
  async makeImage(image: FileImage): Promise<string> {
    this.#count += 1;
    const reference = `cm-test-${this.id.slice(0, 8)}-${this.#count}:1`;
    this.#images.push(reference);
    await importFileImage(this.docker, reference, image);
    return reference;
  }

  async list(): Promise<Docker.ContainerInfo[]> {
    const label = Object.entries(this.labels).map(([name, value]) => `${name}=${value}`);
    return this.docker.listContainers({ all: true, filters: { label } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const containers = await this.list();
    await Promise.all(
      containers.map(({ Id }) =>
        this.docker.getContainer(Id).remove({ force: true, v: true }).catch(ignoreStatus(404, 409)),
      ),
    );
    for (const reference of this.#images) {
      await this.docker.getImage(reference).remove({ force: true }).catch(ignoreStatus(404, 409));
    }
    await this.docker.getNetwork(this.network).remove().catch(ignoreStatus(404));
  }
}

function ignoreStatus(...statuses: number[]): (error: { statusCode?: number }) => void {
  return (error) => {
    if (!statuses.includes(error.statusCode ?? 0)) throw error;
  };
}

import { execFile } from 'node:child_process';
import { realpathSync } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { findBusybox } from './docker.ts';
import { follow } from './engine-progress.ts';

const run = promisify(execFile);

/** A registry that is there begins to answer long before; the whole pull is not bounded by it, ms. */
const PULL_TIMEOUT_MS = 180_000;
/** What the steps of the Dockerfile call. */
const APPLETS = ['sh', 'cat', 'chmod', 'cp', 'dirname', 'echo', 'grep', 'ln', 'ls', 'mkdir', 'printf'];
/** Names whom this machine trusts, where the package registry is behind somebody of its own. */
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/**
 * Sees to it that the image's base is there: the one that is, the real one from its registry, or, where that cannot be
 * reached, a stand-in of the same name, made of this machine's own Node.js, npm and busybox. Dispose to take away the
 * stand-in; any other stays.
 */
export async function provideBaseImage(docker: Docker): Promise<AsyncDisposable> {
  const tag = await baseImageName();
  const isThere = (await hasImage(docker, tag)) || (await canPull(docker, tag));
  if (!isThere) await importStandIn(docker, tag);
  return {
    [Symbol.asyncDispose]: async () => {
      if (!isThere) await docker.getImage(tag).remove({ force: true });
    },
  };
}

async function baseImageName(): Promise<string> {
  const [, name = ''] = /^FROM (\S+) AS build$/m.exec(await readFile('Dockerfile', 'utf8')) ?? [];
  return name;
}

async function hasImage(docker: Docker, tag: string): Promise<boolean> {
  return docker
    .getImage(tag)
    .inspect()
    .then(
      () => true,
      (error: { statusCode?: number }) => {
        if (error.statusCode === 404) return false;
        throw error;
      },
    );
}

async function canPull(docker: Docker, tag: string): Promise<boolean> {
  try {
    await follow(docker, await docker.pull(tag, { abortSignal: AbortSignal.timeout(PULL_TIMEOUT_MS) }));
    return true;
  } catch {
    return false;
  }
}

async function importStandIn(docker: Docker, tag: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cm-base-image-'));
  try {
    const root = join(directory, 'root');
    await layOutRoot(root);
    const archive = join(directory, 'root.tar');
    await run('tar', ['-C', root, '--owner=0', '--group=0', '-cf', archive, '.']);
    const [repo, name] = tag.split(':');
    const changes = [
      'ENV PATH=/usr/local/bin:/bin',
      `ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}`,
      'CMD ["node"]',
    ];
    await follow(docker, await docker.importImage(archive, { repo, tag: name, changes } as object));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function layOutRoot(root: string): Promise<void> {
  for (const path of [
    'bin',
    'tmp',
    'root',
    'usr/bin',
    'usr/local/bin',
    'usr/local/lib/node_modules',
    'etc/ssl/certs',
  ])
    await mkdir(join(root, path), { recursive: true });
  await copyFile(await findBusybox(), join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await symlink('../../bin/busybox', join(root, 'usr/bin/env'));

  const node = realpathSync(process.execPath);
  await copyFile(node, join(root, 'usr/local/bin/node'));
  const { stdout } = await run('ldd', [node]);
  for (const library of stdout.split('\n').flatMap((line) => /\/\S+/.exec(line) ?? [])) {
    await mkdir(join(root, dirname(library)), { recursive: true });
    await copyFile(library, join(root, library));
  }
  await cp(await npmFolder(), join(root, 'usr/local/lib/node_modules/npm'), {
    recursive: true,
    dereference: true,
  });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));

  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
  );
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  const hasCertificates = await access(CERTIFICATES).then(
    () => true,
    () => false,
  );
  if (hasCertificates) await copyFile(CERTIFICATES, join(root, CERTIFICATES));
  else await writeFile(join(root, CERTIFICATES), '');
}

/** The npm that runs this test, else the one on the path. */
async function npmFolder(): Promise<string> {
  const program = process.env['npm_execpath'] ?? (await run('which', ['npm'])).stdout.trim();
  return dirname(dirname(realpathSync(program)));
}

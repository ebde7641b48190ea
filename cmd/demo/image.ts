import { execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';

const run = promisify(execFile);

/** What the demo's container runs. */
export interface DemoImage {
  readonly image: string;
  readonly entrypoint: string[];
  readonly port: number;
}

const TAG = 'container-manager-demo:latest';
const PORT = 8000;

/** Answers every request, says so in its log, and ends when it is asked to. */
const SERVER = `
const { createServer } = require('node:http');
const server = createServer((request, response) => {
  console.log(request.method + ' ' + request.url);
  response.end('Hello from job ' + process.env.DEMO_NAME + '\\n');
});
server.listen(${PORT}, () => console.log('listening on ${PORT}'));
process.on('SIGTERM', () => { console.error('asked to stop'); server.close(); server.closeAllConnections(); });
`;

/**
 * Makes the demo's image without any registry: the Node binary that runs this very program, the libraries it is
 * linked with, and a small server. Linux only, as containers are.
 */
export async function buildDemoImage(docker: Docker): Promise<DemoImage> {
  const root = mkdtempSync(join(tmpdir(), 'cm-demo-image-'));
  try {
    await layOutRoot(root);
    await importDirectory(docker, root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return { image: TAG, entrypoint: ['/node', '/server.cjs'], port: PORT };
}

export async function removeDemoImage(docker: Docker): Promise<void> {
  await docker.getImage(TAG).remove({ force: true });
}

async function layOutRoot(root: string): Promise<void> {
  const binary = realpathSync(process.execPath);
  copyFileSync(binary, join(root, 'node'));
  chmodSync(join(root, 'node'), 0o755);
  for (const library of await librariesOf(binary)) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
  mkdirSync(join(root, 'tmp'));
  writeFileSync(join(root, 'server.cjs'), SERVER);
}

async function librariesOf(binary: string): Promise<string[]> {
  const { stdout } = await run('ldd', [binary]);
  // `libm.so.6 => /lib/libm.so.6 (0x…)`, or the path alone; what has none is the kernel's own.
  return stdout.split('\n').flatMap((line) => line.split(/\s/).find((word) => word.startsWith('/')) ?? []);
}

/** Streams the directory as a tar archive into the engine; nothing is kept in memory. */
async function importDirectory(docker: Docker, root: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [repo, tag] = TAG.split(':');
  const reply = await docker.importImage(tar.stdout, { repo, tag } as object);
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(reply, (error) => (error === null ? resolve() : reject(error)));
  });
}

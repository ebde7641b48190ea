import { request, type RequestOptions } from 'node:http';
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../cli.ts';

/** An engine that answers at all does so at once. */
const TIMEOUT_MS = 5_000;
const MAX_REPLY_BYTES = 4 * 1024 ** 2;
const DEFAULT_PORT = 2375;

export interface EngineTarget {
  /** As a person would write it. */
  readonly text: string;
  /** `undefined` when it is reached over TLS or ssh, which is not tried here. */
  readonly request: RequestOptions | undefined;
}

/** Where an engine is looked for: the setting, else `DOCKER_HOST`, else the first of the usual sockets that is there. */
export async function findEngine(setting: string | undefined, env: Environment): Promise<EngineTarget> {
  const fromEnv = env['DOCKER_HOST'];
  const text = setting ?? (fromEnv === undefined || fromEnv === '' ? await usualSocket(env) : fromEnv);
  if (text.startsWith('unix://')) return { text, request: { socketPath: text.slice('unix://'.length) } };
  const isTls = (env['DOCKER_TLS_VERIFY'] ?? '') !== '' || (env['DOCKER_CERT_PATH'] ?? '') !== '';
  const plain = text.replace(/^tcp:/, 'http:');
  if (isTls || !plain.startsWith('http:') || !URL.canParse(plain)) return { text, request: undefined };
  const { hostname, port } = new URL(plain);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return { text, request: { host, port: port === '' ? DEFAULT_PORT : Number(port) } };
}

async function usualSocket(env: Environment): Promise<string> {
  const usual = '/var/run/docker.sock';
  const runtimeDir = env['XDG_RUNTIME_DIR'] ?? '';
  const home = join(homedir(), '.docker', 'run', 'docker.sock');
  for (const path of [usual, ...(runtimeDir === '' ? [] : [join(runtimeDir, 'docker.sock')]), home]) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return `unix://${path}`;
  }
  return `unix://${usual}`;
}

/** Asks the engine itself, without a library: all that is wanted is whether, and who, answers. */
export function askEngine(target: RequestOptions, path: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...target, path, timeout: TIMEOUT_MS, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_REPLY_BYTES) outgoing.destroy(new Error('it answers too much'));
        chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => {
        try {
          if (response.statusCode !== 200)
            throw new Error(`it answers with HTTP status ${response.statusCode}`);
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>);
        } catch (error) {
          reject(error as Error);
        }
      });
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

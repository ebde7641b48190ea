import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../kernel/errors.ts';
import { RuntimeError } from '../errors.ts';

/** Where an engine listens, as dockerode takes it. */
export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly protocol: 'http'; readonly host: string; readonly port: number }
  | ({ readonly protocol: 'https'; readonly host: string; readonly port: number } & Certificates);

interface Certificates {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORT = 2375;
const DEFAULT_TLS_PORT = 2376;
/** For a connection to one of the usual sockets. */
const SOCKET_TRY_MS = 1_000;

/**
 * The engine's address: `host` where it is given, else `DOCKER_HOST`, else the first of the usual sockets on
 * which somebody listens. Fails with `engine_unavailable` and the remedy when the text is no such address or a certificate is missing.
 */
export async function findEngine(host: string | undefined, env: Env): Promise<EngineAddress> {
  const text = host ?? nonEmpty(env['DOCKER_HOST']);
  if (text === undefined) return { socketPath: await findSocket(env) };
  if (text.startsWith('unix://'))
    return { socketPath: text.slice('unix://'.length) || (await findSocket(env)) };
  if (text.startsWith('/')) return { socketPath: text };
  return parseAddress(text, env);
}

async function findSocket(env: Env): Promise<string> {
  const home = nonEmpty(env['HOME']) ?? homedir();
  const runtimeDir = nonEmpty(env['XDG_RUNTIME_DIR']);
  const usual = '/var/run/docker.sock';
  const candidates = [
    usual,
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, 'docker.sock')]),
    join(home, '.docker', 'run', 'docker.sock'),
  ];
  for (const path of candidates) if (await isListening(path)) return path;
  return usual;
}

/** A socket file can outlive its engine: somebody has to answer. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: SOCKET_TRY_MS });
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}

async function parseAddress(text: string, env: Env): Promise<EngineAddress> {
  const match = /^(tcp|http|https):\/\/(.{1,255})$/.exec(text.includes('://') ? text : `tcp://${text}`);
  const url = match === null ? null : URL.parse(`http://${match[2] ?? ''}`);
  if (
    match === null ||
    url === null ||
    url.hostname === '' ||
    url.username !== '' ||
    !/^\/?$/.test(url.pathname)
  ) {
    throw new RuntimeError(
      'engine_unavailable',
      `docker host ${JSON.stringify(text)}: must be unix:///path, tcp://host:port or https://host:port ` +
        '(for ssh, forward the socket with ssh -L and name the local end)',
    );
  }
  const certPath = nonEmpty(env['DOCKER_CERT_PATH']);
  const wantsTls = nonEmpty(env['DOCKER_TLS_VERIFY']) !== undefined || certPath !== undefined;
  const isSecure = match[1] === 'https' || (match[1] === 'tcp' && wantsTls);
  const isPortGiven = /:\d+\/?$/.test(match[2] ?? '');
  const port = isPortGiven ? Number(url.port || 80) : isSecure ? DEFAULT_TLS_PORT : DEFAULT_PORT;
  if (!isSecure) return { protocol: 'http', host: url.hostname, port };
  return { protocol: 'https', host: url.hostname, port, ...(await readCertificates(certPath)) };
}

async function readCertificates(certPath: string | undefined): Promise<Certificates> {
  if (certPath === undefined) return { ca: undefined, cert: undefined, key: undefined };
  try {
    const read = (name: string): Promise<string> => readFile(join(certPath, name), 'utf8');
    const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
    return { ca, cert, key };
  } catch (error) {
    throw new RuntimeError('engine_unavailable', `DOCKER_CERT_PATH: ${messageOf(error)}`, { cause: error });
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

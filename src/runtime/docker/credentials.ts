import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { RuntimeError } from '../errors.ts';

/** What the engine presents to a registry. Never logged, never part of an error. */
export type RegistryAuth =
  | { readonly username: string; readonly password: string; readonly serveraddress: string }
  | { readonly identitytoken: string; readonly serveraddress: string };

const MAX_CONFIG_BYTES = 1024 ** 2;
const HELPER_TIMEOUT_MS = 10_000;
const MAX_HELPER_OUTPUT_BYTES = 64 * 1024;

/** Docker's own registry is kept under the address that its first version had. */
const HUB_SERVER = 'https://index.docker.io/v1/';
/** The name that a helper gives to a token in place of a password. */
const TOKEN_USERNAME = '<token>';

const dockerConfig = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
type DockerConfig = z.infer<typeof dockerConfig>;
type Env = Readonly<Record<string, string | undefined>>;

/**
 * The credentials that the docker config file holds for a registry, and for that one only; `undefined` where it holds
 * none. A helper that is not there or knows nothing means none: the pull goes on without, and the registry decides.
 * Fails with `image_unauthorized` when the file is there and cannot be read.
 */
export async function findCredentials(
  domain: string,
  env: Env,
  signal?: AbortSignal,
): Promise<RegistryAuth | undefined> {
  const config = await readConfig(
    join(env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker'), 'config.json'),
  );
  if (config === undefined) return undefined;
  const names = serverNames(domain);
  const helper = lookUp(config.credHelpers, names) ?? config.credsStore ?? undefined;
  const fromHelper =
    helper === undefined ? undefined : await askHelper(helper, names[0] as string, env, signal);
  return fromHelper ?? fromAuths(config, names);
}

/** Under which names a registry may be listed, the usual one first. */
function serverNames(domain: string): string[] {
  const hosts = domain === 'docker.io' ? [HUB_SERVER, 'index.docker.io', domain] : [domain];
  return hosts.flatMap((host) =>
    host.includes('://')
      ? [host]
      : [host, `https://${host}`, `https://${host}/v1/`, `https://${host}/v2/`, `http://${host}`],
  );
}

function lookUp<Value>(
  entries: Record<string, Value> | null | undefined,
  names: readonly string[],
): Value | undefined {
  const name = names.find((candidate) => Object.hasOwn(entries ?? {}, candidate));
  return name === undefined ? undefined : entries?.[name];
}

function fromAuths(config: DockerConfig, names: readonly string[]): RegistryAuth | undefined {
  const entry = lookUp(config.auths, names);
  const serveraddress = names[0] as string;
  if (entry === undefined) return undefined;
  if (entry.identitytoken) return { identitytoken: entry.identitytoken, serveraddress };
  const decoded = entry.auth === undefined ? '' : Buffer.from(entry.auth, 'base64').toString();
  const colon = decoded.indexOf(':');
  const username = colon > 0 ? decoded.slice(0, colon) : entry.username;
  // Docker pads what it writes with NUL.
  const password = colon > 0 ? decoded.slice(colon + 1).replaceAll('\0', '') : entry.password;
  return username === undefined || password === undefined ? undefined : { username, password, serveraddress };
}

async function readConfig(path: string): Promise<DockerConfig | undefined> {
  let text: string;
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_CONFIG_BYTES) throw new Error(`is larger than ${MAX_CONFIG_BYTES} bytes`);
    text = await file.readFile('utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(path, error instanceof Error ? error.message : String(error));
  }
  const parsed = dockerConfig.safeParse(parseJson(text));
  // What stands in it is secret: the problem is named, the text is not.
  if (!parsed.success) throw unreadable(path, 'is not what docker writes');
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreadable(path: string, problem: string): RuntimeError {
  return new RuntimeError('image_unauthorized', `docker config ${path}: ${problem}`);
}

const helperReply = z.object({ Username: z.string(), Secret: z.string().min(1) });

function askHelper(
  name: string,
  server: string,
  env: Env,
  signal?: AbortSignal,
): Promise<RegistryAuth | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)) return Promise.resolve(undefined);
  const limits = {
    timeout: HELPER_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_HELPER_OUTPUT_BYTES,
  } as const;
  return new Promise((resolve) => {
    const child = execFile(
      `docker-credential-${name}`,
      ['get'],
      { ...limits, env: { ...env }, ...(signal === undefined ? {} : { signal }) },
      (error, stdout) => resolve(error === null ? readHelperReply(stdout, server) : undefined),
    );
    // It may end without reading; that shows in its reply.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${server}\n`);
  });
}

function readHelperReply(stdout: string, serveraddress: string): RegistryAuth | undefined {
  const reply = helperReply.safeParse(parseJson(stdout));
  if (!reply.success) return undefined;
  const { Username, Secret } = reply.data;
  return Username === TOKEN_USERNAME
    ? { identitytoken: Secret, serveraddress }
    : { username: Username, password: Secret, serveraddress };
}

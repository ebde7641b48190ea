import { messageOf } from '../../../../src/kernel/errors.ts';
import type { Environment } from '../../cli.ts';
import { askEngine, findEngine, type EngineTarget } from './engine-request.ts';
import { fail, ok, warn, type Finding } from './finding.ts';

/** Engine 19.03: older ones lack what the driver needs. */
const OLDEST_API_MINOR = 40;

/** Whether an engine answers, speaks a version that is understood, and can keep containers within their limits. */
export async function* checkEngine(setting: string | undefined, env: Environment): AsyncGenerator<Finding> {
  const target = await findEngine(setting, env);
  if (target.request === undefined) {
    yield warn(
      'Docker Engine',
      `${target.text} is not tried here`,
      'see what the node itself says: GET /ready?verbose',
    );
    return;
  }
  let version: Record<string, unknown>;
  try {
    version = await askEngine(target.request, '/version');
  } catch (error) {
    yield fail('Docker Engine', `${target.text}: ${messageOf(error)}`, remedyFor(error, target));
    return;
  }
  yield checkVersion(version, target);
  try {
    yield* checkLimits(await askEngine(target.request, '/info'));
  } catch (error) {
    yield warn('limits', `the engine does not say which it can keep: ${messageOf(error)}`, 'see docker info');
  }
}

function remedyFor(error: unknown, { text }: EngineTarget): string {
  const { code } = error as { code?: unknown };
  if (code === 'EACCES') return 'add this user to the docker group, and log in again';
  if (code === 'ENOENT')
    return 'install Docker and start it, or name its socket in --docker-host or DOCKER_HOST';
  if (code === 'ECONNREFUSED' && text.startsWith('unix://')) return 'start it: systemctl start docker';
  return 'see whether it runs there: docker version';
}

function checkVersion(version: Record<string, unknown>, { text }: EngineTarget): Finding {
  const api = String(version['ApiVersion']);
  const shown = `${String(version['Version'])}, API ${api}, at ${text}`;
  const minor = Number(/^1\.(\d{1,3})$/.exec(api)?.[1]);
  if (minor >= OLDEST_API_MINOR) return ok('Docker Engine', shown);
  return fail(
    'Docker Engine',
    `${shown} is too old`,
    `install one with API 1.${OLDEST_API_MINOR} or later (19.03)`,
  );
}

/** What the engine's own `info` calls each limit. */
const LIMITS: readonly (readonly [field: string, name: string])[] = [
  ['MemoryLimit', 'memory'],
  ['CpuCfsQuota', 'CPU'],
  ['PidsLimit', 'processes'],
];

function* checkLimits(info: Record<string, unknown>): Generator<Finding> {
  const missing = LIMITS.filter(([field]) => info[field] === false).map(([, name]) => name);
  const cgroup = `cgroup v${String(info['CgroupVersion'] ?? '1')}`;
  if (missing.length === 0) yield ok('limits', `memory, CPU and processes can be limited (${cgroup})`);
  else {
    const text = `containers cannot be limited in ${missing.join(', ')} (${cgroup})`;
    yield warn('limits', text, "enable these cgroup controllers in the host's kernel");
  }
}

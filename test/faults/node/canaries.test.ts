import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildTestImage, requireDocker, TEST_IMAGE } from '../../support/docker.ts';
import { httpCall, type HttpReply, NodeHome } from '../../support/node-process.ts';
import { REGISTRY_CREDENTIALS, TestRegistry } from '../../support/registry.ts';

/** Of one kind each: values of env, tokens that are right and wrong, credentials of registries. */
const KINDS = { env: 12, token: 3, wrongToken: 2, registry: 3 };

function canary(kind: string, index: number): string {
  return `canary-${kind}-${index}-${randomBytes(16).toString('hex')}`;
}

/** Every form in which a secret might be written by accident. */
function formsOf(secret: string): string[] {
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  // The last characters of base64 depend on what follows.
  return [secret, base64.slice(0, -2), Buffer.from(secret).toString('hex'), encodeURIComponent(secret)];
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('L2: 20 secrets go through a node that logs everything, and none is found anywhere', async () => {
  const docker = await requireDocker();
  await buildTestImage(docker);
  await using registry = await TestRegistry.start(docker, { auth: true });
  const make = (kind: keyof typeof KINDS): string[] =>
    Array.from({ length: KINDS[kind] }, (_, index) => canary(kind, index));
  const [env, tokens, wrong, credentials] = [
    make('env'),
    make('token'),
    make('wrongToken'),
    make('registry'),
  ];
  const secrets = [...env, ...tokens, ...wrong, ...credentials, REGISTRY_CREDENTIALS.password];
  expect(secrets.length).toBeGreaterThanOrEqual(20);

  const [full = '', read = '', unused = ''] = tokens;
  const authOf = (password: string): string => Buffer.from(`tester:${password}`).toString('base64');
  const registryHost = `127.0.0.1:${registry.port}`;
  const auths = {
    // The right ones are refused nothing; a wrong one is what the registry complains about.
    [registryHost]: { auth: authOf(credentials[0] ?? '') },
    '127.0.0.1:1': { auth: authOf(credentials[1] ?? ''), identitytoken: credentials[2] },
  };
  await using home = await NodeHome.create({
    settings: {
      log_level: 'trace',
      'peers.enabled': 'true',
      'auth.tokens': `ci:full:${full},viewer:read:${read},idle:read:${unused}`,
      'policy.registries': `${registryHost}, 127.0.0.1:1, docker.io`,
      'defaults.retry_attempts': 2,
      'defaults.retry_backoff': '10ms',
    },
  });
  const dockerConfig = join(home.directory, '.docker');
  mkdirSync(dockerConfig, { recursive: true });
  writeFileSync(join(dockerConfig, 'config.json'), JSON.stringify({ auths }));

  const node = await home.start();
  const replies: string[] = [];
  const call = async (method: string, params: unknown, token = full): Promise<HttpReply> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
    const reply = await node.post('/jrpc', body, headers);
    replies.push(JSON.stringify(reply.headers), reply.text);
    return reply;
  };
  const created = async (spec: Record<string, unknown>): Promise<string> => {
    const { result } = JSON.parse((await call('ContainerService.Create', spec)).text) as {
      result: { job_id: string };
    };
    return result.job_id;
  };
  const secretEnv = (index: number): Record<string, string> => ({
    PASSWORD: env[index] ?? '',
    [`PLAIN_${index}`]: env[index] ?? '',
  });

  // What runs, ends well, ends badly, cannot start, cannot be pulled, is retried, is refused.
  const base = { image: TEST_IMAGE, network: 'none' };
  const jobs = [
    await created({ ...base, arguments: ['sleep', '600'], env: secretEnv(0) }),
    await created({ ...base, arguments: ['true'], env: secretEnv(1) }),
    await created({ ...base, arguments: ['false'], env: secretEnv(2) }),
    await created({ ...base, entrypoint: ['/no/such/file'], env: secretEnv(3) }),
    await created({ ...base, image: `${registryHost}/private/image:1`, env: secretEnv(4) }),
    await created({ ...base, image: '127.0.0.1:1/unreachable:1', env: secretEnv(5) }),
    await created({ ...base, arguments: ['false'], healthcheck: { tcp: 9 }, env: secretEnv(6) }),
    await created({
      ...base,
      arguments: ['false'],
      restart: { policy: 'always', max_attempts: 1 },
      env: secretEnv(7),
    }),
    await created({ ...base, working_dir: '/proc/none', arguments: ['true'], env: secretEnv(8) }),
  ];
  const key = { idempotency_key: 'once' };
  await created({ ...base, arguments: ['true'], env: secretEnv(9), ...key });
  // Refused, with the field and the value of whatever is wrong, but for what is in env.
  await call('ContainerService.Create', { ...base, arguments: ['true'], env: secretEnv(10), ...key });
  await call('ContainerService.Create', { ...base, env: { 'BAD=NAME': env[11], OK: env[11] } });
  await call('ContainerService.Create', { ...base, env: { OK: { nested: env[11] } } });
  await call('ContainerService.Create', { ...base, env: env[11] });
  await call('ContainerService.Create', { ...base, env: secretEnv(11), network: 'host' });
  await call('ContainerService.Create', { ...base, env: secretEnv(11), privileged: true });
  for (const token of wrong) await call('JobService.List', {}, token);
  await call('ContainerService.Create', { ...base, env: secretEnv(11) }, read);
  for (const job_id of jobs.slice(1)) await call('JobService.Wait', { job_id });
  for (const job_id of jobs) {
    for (const method of [
      'JobService.Get',
      'JobService.History',
      'ContainerService.Logs',
      'ContainerService.Status',
    ]) {
      await call(method, { job_id });
    }
  }
  await call('JobService.List', {});
  await call('SystemService.Health', {});
  for (const path of ['/metrics', '/jobs', '/containers', '/health', '/ready?verbose']) {
    const reply = await httpCall(node.port, { path, headers: { authorization: `Bearer ${full}` } });
    expect(reply.status, path).toBe(200);
    replies.push(JSON.stringify(reply.headers), reply.text);
  }
  const refusedQuery = await httpCall(node.port, { path: `/jobs?token=${unused}` });
  replies.push(refusedQuery.text);
  // The container did get what it was given.
  const inspect = await docker.getContainer(`cm-${jobs[0]}`).inspect();
  expect(inspect.Config.Env).toContain(`PASSWORD=${env[0]}`);
  expect(Object.values(inspect.Config.Labels).join()).not.toContain('canary');
  await node.stop();
  // Once more over what was stored.
  const again = await home.start();
  expect(await again.stop()).toBe(0);

  const places = new Map<string, Buffer>([
    ['log', readFileSync(home.logFile)],
    ...replies.map((reply, index): [string, Buffer] => [`reply ${index}`, Buffer.from(reply)]),
    ...filesBelow(home.dataDir).map((file): [string, Buffer] => [file, readFileSync(file)]),
  ]);
  // The log has the failures, so it was looked at for something.
  expect(places.get('log')?.toString()).toContain(jobs[4]);
  const hits = secrets.flatMap((secret) =>
    formsOf(secret).flatMap((form) =>
      [...places].filter(([, content]) => content.includes(form)).map(([place]) => `${secret} in ${place}`),
    ),
  );
  expect(
    hits.map(
      (hit) =>
        `${hit}: ${places
          .get(hit.split(' in ')[1] ?? '')
          ?.toString()
          .slice(0, 400)}`,
    ),
  ).toEqual([]);
});

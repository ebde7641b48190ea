import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findCredentials, type RegistryAuth } from '../../../../src/runtime/docker/credentials.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cm-credentials-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function find(domain: string, config: unknown): Promise<RegistryAuth | undefined> {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  await writeFile(join(home, 'config.json'), text);
  return findCredentials(domain, { DOCKER_CONFIG: home, PATH: `${home}:${process.env['PATH']}` });
}

async function writeHelper(name: string, script: string): Promise<void> {
  const path = join(home, `docker-credential-${name}`);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}

const auth = (text: string): { auth: string } => ({ auth: Buffer.from(text).toString('base64') });

describe('findCredentials', () => {
  it('finds none without a file', async () => {
    expect(await findCredentials('reg.example', { DOCKER_CONFIG: home })).toBeUndefined();
  });

  it.each(['reg.example', 'https://reg.example', 'https://reg.example/v2/'])('reads %s', async (key) => {
    expect(await find('reg.example', { auths: { [key]: auth('me:a:b') } })).toEqual({
      username: 'me',
      password: 'a:b',
      serveraddress: 'reg.example',
    });
  });

  it("reads the hub's under its old address", async () => {
    expect(await find('docker.io', { auths: { 'https://index.docker.io/v1/': auth('me:x') } })).toMatchObject(
      {
        username: 'me',
        serveraddress: 'https://index.docker.io/v1/',
      },
    );
  });

  it('prefers a token', async () => {
    const config = { auths: { 'reg.example': { ...auth('me:x'), identitytoken: 'tok' } } };
    expect(await find('reg.example', config)).toEqual({ identitytoken: 'tok', serveraddress: 'reg.example' });
  });

  it.each(['other.example', 'reg.example:5000', 'sub.reg.example', '__proto__', 'constructor'])(
    'finds nothing for %s among those of another',
    async (domain) => expect(await find(domain, { auths: { 'reg.example': auth('me:x') } })).toBeUndefined(),
  );

  it.each(['no json', '[]', '{"auths":5}', '{"auths":{"reg.example":{"auth":5}}}'])(
    'says which file is wrong, and nothing of what is in it: %s',
    async (text) => {
      const error: unknown = await find('reg.example', text).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'image_unauthorized' });
      expect(String(error)).toContain(join(home, 'config.json'));
      expect(String(error)).not.toContain('auths');
    },
  );

  it('asks the helper that is named for the registry', async () => {
    await writeHelper('mine', 'read server; echo "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$server\\"}"');
    expect(
      await find('reg.example', { credHelpers: { 'reg.example': 'mine' }, credsStore: 'absent' }),
    ).toEqual({
      username: 'get',
      password: 'reg.example',
      serveraddress: 'reg.example',
    });
  });

  it('asks the store for all others, and takes a token from it', async () => {
    await writeHelper('store', 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"tok\\"}"');
    expect(await find('reg.example', { credsStore: 'store' })).toMatchObject({ identitytoken: 'tok' });
  });

  it.each([
    ['fails', 'echo "credentials not found"; exit 1'],
    ['answers nonsense', 'echo nonsense'],
    ['never stops writing', 'yes'],
  ])('falls back on the file when the helper %s', async (_what, script) => {
    await writeHelper('bad', script);
    const config = { credsStore: 'bad', auths: { 'reg.example': auth('me:x') } };
    expect(await find('reg.example', config)).toMatchObject({ username: 'me' });
  });

  it('runs no helper whose name could be a path', async () => {
    await writeHelper('x', 'touch "$(dirname "$0")/ran"; echo "{}"');
    expect(await find('reg.example', { credsStore: '../docker-credential-x' })).toBeUndefined();
  });
});

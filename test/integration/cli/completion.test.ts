import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROGRAM } from '../../support/node-process.ts';
import { cli } from './cli-process.ts';
import { stubJob, StubNode } from './stub-node.ts';

const directory = mkdtempSync(join(tmpdir(), 'cm-completion-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let script: string;
beforeAll(async () => {
  const { stdout } = await cli(['completion', 'bash']);
  script = join(directory, 'completion.bash');
  writeFileSync(script, stdout);
  const program = join(directory, 'container-manager');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(program, 0o755);
});

/** What bash offers after these words, of which the last is the one being typed. */
async function complete(words: readonly string[], address = '127.0.0.1:1'): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(' ');
  const command = `source '${script}'; COMP_WORDS=(container-manager ${list}); COMP_CWORD=${words.length}; _container_manager; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = {
    PATH: `${directory}:${process.env['PATH']}`,
    HOME: directory,
    CONTAINER_MANAGER_ADDRESS: address,
  };
  const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', command], { env });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion in bash', () => {
  it.each([
    [['p'], ['ps', 'peers']],
    [['re'], []],
    [['st'], ['status', 'stop', 'stats']],
    [['--address', 'x', 'do'], ['doctor']],
    [['ps', '--li'], ['--limit']],
    [
      ['ps', '--output', ''],
      ['table', 'json', 'yaml', 'ndjson'],
    ],
    [['ps', '-o', 'j'], ['json']],
    [
      ['run', '--pull', ''],
      ['missing', 'always', 'never'],
    ],
    [['run', '--name', ''], []],
    [
      ['queue', ''],
      ['show', 'pause', 'resume'],
    ],
    [
      ['controllers', ''],
      ['ls', 'show', 'discover', 'validate', 'test', 'add', 'rm'],
    ],
    [['controllers', 'rm', '--ver'], ['--version']],
    [
      ['connections', ''],
      ['ls', 'close'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['logs', ''], []],
  ])('%j', async (words, expected) => {
    expect(await complete(words)).toEqual(expected);
  });

  it('offers the ids of the jobs there are', async () => {
    const ids = ['01a1fd1c-0512-76b6-ae64-8f1b899dc419', '02a1fd1c-0512-76b6-ae64-8f1b899dc419'];
    await using node = await StubNode.start({
      'JobService.List': { jobs: ids.map((job_id) => stubJob({ job_id })) },
    });
    expect(await complete(['logs', ''], `127.0.0.1:${node.port}`)).toEqual(ids);
    expect(await complete(['logs', '-f', '02'], `127.0.0.1:${node.port}`)).toEqual([ids[1]]);
  });
});

describe.each(['zsh', 'fish'])('completion in %s', (shell) => {
  it('knows every command and its options', async () => {
    const { code, stdout } = await cli(['completion', shell]);
    expect(code).toBe(0);
    for (const word of [
      'run',
      'ps',
      'inspect',
      'doctor',
      'completion',
      'health-tcp',
      'token-file',
      'ndjson',
    ]) {
      expect(stdout).toContain(word);
    }
    expect(stdout).toContain('container-manager ps --all --all-nodes --output ndjson');
  });
});

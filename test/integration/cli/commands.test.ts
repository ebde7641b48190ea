import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli, CliProcess } from './cli-process.ts';
import { freePort } from '../../support/free-port.ts';
import { StubError, stubJob, StubNode } from './stub-node.ts';

const directory = mkdtempSync(join(tmpdir(), 'cm-cli-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('ps', () => {
  it('lists jobs in aligned columns, ids shortened, without any colour in a pipe', async () => {
    const failed = stubJob({
      job_id: '01a1fd1c-0513-7000-8000-000000000000',
      status: 'failed',
      reason: 'exited',
      exit_code: 3,
    });
    const running = stubJob({
      name: 'web',
      ports: [{ container: 80, protocol: 'tcp', host: 32_768, address: '127.0.0.1' }],
    });
    await using node = await StubNode.start({ 'JobService.List': { jobs: [failed, running] } });
    const { code, stdout, stderr } = await cli(['ps', '--all'], {
      port: node.port,
      env: { FORCE_COLOR: '1' },
    });
    expect(stdout.split('\n')).toEqual([
      'JOB            STATUS   NAME  IMAGE  CREATED  DETAILS',
      '01a1fd1c-0513  failed         app:1  2m ago   exit 3',
      '01a1fd1c-0512  running  web   app:1  2m ago   127.0.0.1:32768->80/tcp',
      '',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(node.calls).toEqual([{ method: 'JobService.List', params: { limit: 100 }, token: undefined }]);
  });

  it('shows with --all-nodes on which node each job is, and which node is not heard', async () => {
    const jobs = [
      stubJob({ owner: '12D3KooWAAAAAAAA11111111', name: 'here' }),
      stubJob({
        job_id: '01a1fd1c-0513-7000-8000-000000000000',
        owner: '12D3KooWBBBBBBBB22222222',
        age_ms: 35_400,
        lost: true,
      }),
    ];
    await using node = await StubNode.start({ 'JobService.List': { jobs } });
    const { stdout } = await cli(['ps', '--all-nodes'], { port: node.port });
    expect(stdout.split('\n')).toEqual([
      'JOB            STATUS   NODE      NAME  IMAGE  CREATED  DETAILS',
      '01a1fd1c-0512  running  11111111  here  app:1  2m ago',
      '01a1fd1c-0513  running  22222222        app:1  2m ago   lost: its node was not heard for 35s',
      '',
    ]);
    expect(node.calls).toMatchObject([{ params: { all_nodes: true } }]);
  });

  it('asks for jobs that have not ended, unless told otherwise', async () => {
    await using node = await StubNode.start({ 'JobService.List': { jobs: [] } });
    const none = await cli(['ps'], { port: node.port });
    await cli(['ps', '-s', 'failed', 'running', '-n', 'web', '--limit', '5'], { port: node.port });
    expect(node.calls.map(({ params }) => params)).toEqual([
      { limit: 100, states: ['pending', 'pulling', 'starting', 'running', 'stopping'] },
      { limit: 5, states: ['failed', 'running'], name: 'web' },
    ]);
    expect(none).toEqual({ code: 0, stdout: '', stderr: 'There are no such jobs; --all shows every one.\n' });
  });

  it.each([
    ['json', (text: string): unknown => JSON.parse(text)],
    [
      'ndjson',
      (text: string): unknown =>
        text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown),
    ],
  ])('speaks %s', async (format, parse) => {
    const jobs = [stubJob(), stubJob({ name: 'x\u009b\u202e' })];
    await using node = await StubNode.start({ 'JobService.List': { jobs } });
    const { stdout } = await cli(['ps', '--output', format], { port: node.port });
    expect(parse(stdout)).toEqual(jobs);
    expect(stdout).not.toMatch(/[\u0080-\u009f\u202e]/);
  });

  it('speaks YAML, also when only the environment says so', async () => {
    await using node = await StubNode.start({ 'JobService.List': { jobs: [stubJob()] } });
    const { stdout } = await cli(['ps'], { port: node.port, env: { CONTAINER_MANAGER_OUTPUT: 'yaml' } });
    const { parse } = await import('yaml');
    expect(parse(stdout)).toMatchObject([{ status: 'running', image: 'app:1' }]);
  });

  it('L1: a job cannot speak to the terminal', async () => {
    const jobs = [
      stubJob({ status: 'failed', message: 'x\u001b]0;owned\u0007\n\u001b[2J', name: '\u202eevil' }),
    ];
    await using node = await StubNode.start({ 'JobService.List': { jobs } });
    const { stdout } = await cli(['ps'], { port: node.port });
    expect(stdout).toContain('x\\x1b]0;owned\\x07\\n\\x1b[2J');
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
  });

  it('ends quietly when its reader has enough', async () => {
    const jobs = Array.from({ length: 1_000 }, () =>
      stubJob({ message: 'x'.repeat(1_000), status: 'failed' }),
    );
    await using node = await StubNode.start({ 'JobService.List': { jobs } });
    await using child = new CliProcess(['ps', '-a', '--output', 'json'], { port: node.port });
    child.closeStdout();
    expect(await child.result).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('what goes wrong', () => {
  const FAILURES: readonly [line: string, error: StubError, code: number, next: string | undefined][] = [
    [
      'cancel',
      new StubError(-32001, 'not_found', 'job not found'),
      3,
      'see the jobs there are: container-manager ps --all',
    ],
    ['cancel', new StubError(-32002, 'invalid_state', 'the job runs already'), 1, undefined],
    [
      'cancel',
      new StubError(-32016, 'peer_unreachable', 'node 12D3 cannot be reached'),
      7,
      'try again when that node is back; see which are: container-manager peers',
    ],
    [
      'cancel',
      new StubError(-32003, 'unauthenticated', 'a token is needed'),
      4,
      'give a token with --token-file FILE or in CONTAINER_MANAGER_TOKEN',
    ],
    ['cancel', new StubError(-32004, 'forbidden', 'full scope is needed'), 4, 'use a token of full scope'],
    [
      'cancel',
      new StubError(-32006, 'timeout', 'too long'),
      5,
      'try again, or see how the node is: container-manager doctor',
    ],
    [
      'cancel',
      new StubError(-32010, 'queue_full', 'job queue is full', { retry_after_ms: 2000 }),
      6,
      'try again in 2.0s',
    ],
    ['cancel', new StubError(-32602, 'invalid_params', 'invalid params: x'), 2, undefined],
  ];

  it.each(FAILURES)('%s: %s ends with %i', async (verb, error, code, next) => {
    await using node = await StubNode.start({ 'JobService.Cancel': error });
    const args = [verb, '01a1fd1c-0512-76b6-ae64-8f1b899dc419'];
    const result = await cli(args, { port: node.port });
    const expected = `error: ${error.message}\n${next === undefined ? '' : `next: ${next}\n`}`;
    expect(result).toEqual({ code, stdout: '', stderr: expected });
    const asJson = await cli([...args, '-o', 'json'], { port: node.port });
    expect(JSON.parse(asJson.stderr)).toMatchObject({
      error: { code: error.body.data.reason, message: error.message },
    });
    expect(asJson.code).toBe(code);
  });

  it('names the address that nobody answers at', async () => {
    const port = await freePort();
    expect(await cli(['ps'], { port })).toEqual({
      code: 7,
      stdout: '',
      stderr: `error: no node answers at 127.0.0.1:${port}: connection refused\nnext: start a node with \`container-manager\`, or name another one with --address\n`,
    });
  });

  it.each([
    [['pss'], "error: unknown command 'pss'\nnext: did you mean ps?\n"],
    [['nothing-like-it'], "error: unknown command 'nothing-like-it'\nnext: see container-manager --help\n"],
    [['ps', '--al'], "error: unknown option '--al'\nnext: did you mean --all?\n"],
    [['--queue-siz', '5'], "error: unknown option '--queue-siz'\nnext: did you mean --queue-size?\n"],
    [['logs'], "error: missing required argument 'job'\nnext: see container-manager logs --help\n"],
    [['ps', 'x'], /^error: too many arguments/],
    [['ps', '--status', 'asleep'], /^error: option '-s, --status <status...>' argument 'asleep' is invalid/],
    [
      ['--port', '1', 'ps'],
      "error: the flags of the node cannot be used with the command 'ps'\nnext: container-manager ps --help\n",
    ],
    [['--address', 'x'], 'error: --address needs a command\nnext: see container-manager --help\n'],
    [['ps', '--address', 'a b'], /^error: invalid address "a b"\nnext: give an address such as/],
    [['run', '--follow', '--wait', 'app'], /^error: --follow waits already/],
  ])('%j is a mistake of usage', async (args, stderr) => {
    const result = await cli(args);
    if (typeof stderr === 'string') expect(result.stderr).toBe(stderr);
    else expect(result.stderr).toMatch(stderr);
    expect(result).toMatchObject({ code: 2, stdout: '' });
  });

  it('goes on with the other jobs, and ends with the code of the first failure', async () => {
    const ids = ['01a1fd1c-0512-76b6-ae64-8f1b899dc411', '01a1fd1c-0512-76b6-ae64-8f1b899dc412'];
    const remove = ({ job_id }: { job_id: string }): unknown =>
      job_id === ids[0] ? new StubError(-32001, 'not_found', 'job not found') : { job_id, removed: true };
    await using node = await StubNode.start({ 'ContainerService.Remove': remove });
    const result = await cli(['rm', '-f', ...ids], { port: node.port });
    expect(result).toMatchObject({ code: 3, stdout: `${ids[1]}  removed\n` });
    expect(node.calls.map(({ params }) => params)).toEqual(ids.map((job_id) => ({ job_id, force: true })));
  });
});

describe('a job whose owner does not answer', () => {
  const away = new StubError(-32016, 'peer_unreachable', 'node 12D3 cannot be reached');
  const job = stubJob({ owner: '12D3KooWBBBBBBBB22222222', age_ms: 35_400, lost: true });

  it('is shown as it is known here, without its history', async () => {
    await using node = await StubNode.start({ 'JobService.Get': job, 'JobService.History': away });
    const { code, stdout, stderr } = await cli(['status', job.job_id], { port: node.port });
    expect(stdout).toMatch(/^Status +running$/m);
    expect(stdout).toMatch(/^Lost +its node was not heard for 35s$/m);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'its history is not known here: node 12D3 cannot be reached\n',
    });
  });

  it('keeps no other job from telling what happened to it', async () => {
    const other = stubJob({ job_id: '01a1fd1c-0513-7000-8000-000000000000' });
    const event = { id: '1-1', job_id: other.job_id, type: 'pending', attempt: 1, at: other.created_at };
    await using node = await StubNode.start({
      'JobService.List': { jobs: [job, other] },
      'JobService.History': ({ job_id }: { job_id: string }) =>
        job_id === job.job_id ? away : { job_id, events: [event] },
    });
    const { code, stdout, stderr } = await cli(['events', '--all-nodes', '--output', 'ndjson'], {
      port: node.port,
    });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([event]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'node 12D3 cannot be reached\n' });
  });
});

describe('15: bad flags of the node', () => {
  it.each([
    [['--queue-size', '0'], 'queue size must be greater than 0'],
    [['--worker-count', '0'], 'worker count must be greater than 0'],
    [['--worker-count', '-1'], 'worker count must be greater than 0'],
    [['--listen-address', ''], 'listen address is required'],
    [['--jrpc-port', ''], 'jrpc-port is required'],
    [['--log-level', ''], 'log level is required'],
  ])('%j', async (args, message) => {
    expect(await cli(args)).toEqual({ code: 2, stdout: '', stderr: `error: invalid config: ${message}\n` });
  });
});

describe('tokens', () => {
  it('come from a file, the command line or the environment, in this order', async () => {
    await using node = await StubNode.start({ 'JobService.List': { jobs: [] } });
    const file = join(directory, 'token');
    writeFileSync(file, 'from-file\n', { mode: 0o600 });
    const env = { CONTAINER_MANAGER_TOKEN: 'from-env' };
    await cli(['ps'], { port: node.port, env });
    await cli(['ps', '--token', 'from-args'], { port: node.port, env });
    await cli(['ps', '--token', 'from-args', '--token-file', file], { port: node.port, env });
    await cli(['--token-file', file, 'ps'], { port: node.port });
    expect(node.calls.map(({ token }) => token)).toEqual(
      ['from-env', 'from-args', 'from-file', 'from-file'].map((token) => `Bearer ${token}`),
    );
  });

  it('are never shown when they cannot be used', async () => {
    const result = await cli(['ps', '--token', 'sécret']);
    expect(result).toMatchObject({
      code: 2,
      stderr: 'error: the token holds characters that no token has\n',
    });
  });
});

describe('help and version', () => {
  it('shows the flags of the node with their defaults, and every command', async () => {
    const { code, stdout } = await cli(['--help']);
    expect(code).toBe(0);
    for (const line of [
      /--listen-address string +the address to listen on \(default "0\.0\.0\.0"\)/,
      /--log-level string +log level \(default "info"\)/,
      /--port string +the port to listen on \(default "8080"\)/,
      /--queue-size int +the size of the job queue \(default 100\)/,
      /--worker-count int +the number of workers to run \(default 10\)/,
      /^ {2}run +deploy a container/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    expect(stdout).not.toContain('--docker-host');
    expect((await cli(['--help-all'])).stdout).toContain('--docker-host');
  });

  it.each(['run', 'ps', 'config', 'completion'])('explains %s in three ways', async (verb) => {
    const [first, second] = await Promise.all([cli([verb, '--help']), cli(['help', verb])]);
    expect(first).toEqual(second);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain(`Usage: container-manager ${verb}`);
  });

  it('is the same version everywhere', async () => {
    const { default: manifest } = await import('../../../package.json', { with: { type: 'json' } });
    expect((await cli(['--version'])).stdout).toBe(`${manifest.version}\n`);
    const { stdout } = await cli(['version', '-o', 'json'], { port: await freePort() });
    expect(JSON.parse(stdout)).toMatchObject({ client: { version: manifest.version }, node: null });
  });
});

describe('config', () => {
  it('check notes which keys of discon-manager mean nothing any more', async () => {
    const file = join(directory, 'former.yaml');
    writeFileSync(file, 'server: { port: 81 }\nhealth: { interval: 30 }');
    expect(await cli(['config', 'check', '--config', file])).toEqual({
      code: 0,
      stdout: 'The configuration is right.\n',
      stderr: expect.stringMatching(/^note: health\.interval means nothing any more: .*\n$/) as string,
    });
  });

  it('prints what is in force and where it comes from, checks, and explains', async () => {
    const file = join(directory, 'config.yaml');
    writeFileSync(file, 'queue_size: 7\n');
    const env = { CONTAINER_MANAGER_PORT: '9000' };
    const { stdout } = await cli(['config', 'print', '--with-source', '--config', file], { env });
    expect(stdout).toMatch(/^queue_size: 7 # file$/m);
    expect(stdout).toMatch(/^port: 9000 # environment$/m);
    expect(await cli(['config', 'check', '--config', file])).toMatchObject({ code: 0 });
    writeFileSync(file, 'queue_size: 0\n');
    expect(await cli(['config', 'check', '--config', file])).toMatchObject({
      code: 2,
      stderr: 'error: invalid config: queue size must be greater than 0\n',
    });
    expect((await cli(['config', 'reference'])).stdout).toContain('| `queue_size` |');
  });
});

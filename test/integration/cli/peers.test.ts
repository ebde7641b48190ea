import { describe, expect, it } from 'vitest';
import type { IdentityView, NodeInfoView, PeerView } from '../../../src/api/wire.ts';
import { peerIdOf } from '../../../src/peers/identity.ts';
import { cli, type CliResult } from './cli-process.ts';
import { StubError, StubNode, type StubAnswers } from './stub-node.ts';

const FIRST = peerIdOf(Buffer.alloc(32, 1));
const SECOND = peerIdOf(Buffer.alloc(32, 2));
const STRANGER = peerIdOf(Buffer.alloc(32, 3));
const SELF = peerIdOf(Buffer.alloc(32, 4));
const IDENTITY: IdentityView = {
  node_id: SELF,
  cluster_id: '0123456789abcdef',
  name: 'omega',
  addresses: [],
};
const PEERS: PeerView[] = [
  {
    node_id: FIRST,
    name: 'alpha',
    status: 'connected',
    addresses: ['/ip4/192.0.2.1/tcp/4001'],
    direction: 'inbound',
    heard_age_ms: 350,
    rtt_ms: 0.84,
    jobs: 12,
    version: '1.2.3',
    draining: true,
  },
  { node_id: SECOND, name: 'beta', status: 'lost', addresses: [], heard_age_ms: 80_000, jobs: 0 },
];

/** What a command does at a node that gives these answers beside who it is and its list of peers. */
async function run(
  args: readonly string[],
  answers: StubAnswers = {},
): Promise<CliResult & { calls: StubNode['calls'] }> {
  const known = { 'PeerService.Identity': IDENTITY, 'PeerService.List': { peers: PEERS } };
  await using node = await StubNode.start({ ...known, ...answers });
  return { ...(await cli(args, { port: node.port })), calls: node.calls };
}

const echo =
  (answer: object) =>
  ({ node_id }: { node_id: string }): object => ({ node_id, ...answer });

describe('peers', () => {
  it('lists the other nodes and how each stands', async () => {
    for (const args of [['peers'], ['peers', 'ls']]) {
      const { code, stdout, stderr } = await run(args);
      expect(stdout.split('\n')).toEqual([
        'NODE      NAME   STATUS                       HEARD         PING  JOBS  VERSION  ADDRESSES',
        `${FIRST.slice(-8)}  alpha  connected from it, draining  350ms ago   0.8 ms    12  1.2.3    /ip4/192.0.2.1/tcp/4001`,
        `${SECOND.slice(-8)}  beta   lost                         1m 20s ago             0`,
        '',
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
  });

  it('lists them for programs as the node tells it', async () => {
    const { stdout } = await run(['peers', '--output', 'json']);
    expect(JSON.parse(stdout)).toEqual(PEERS);
  });

  it('says on stderr that there is none', async () => {
    const { code, stdout, stderr } = await run(['peers'], { 'PeerService.List': { peers: [] } });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'No other node is known.\n' });
  });

  it.each([FIRST, FIRST.slice(-6), 'alpha'])('finds a node by %s', async (text) => {
    const { code, stdout, calls } = await run(['peers', 'ping', text], {
      'PeerService.Ping': echo({ rtt_ms: 12.3 }),
    });
    expect(calls.at(-1)).toMatchObject({ method: 'PeerService.Ping', params: { node_id: FIRST } });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${FIRST} answers in 12 ms\n` });
  });

  it.each([
    ['allow', 'PeerService.Allow', { allowed: true }, 'may be a peer until this node restarts'],
    ['deny', 'PeerService.Deny', { allowed: false }, 'is no peer until this node restarts'],
    ['forget', 'PeerService.Forget', { forgotten: true }, 'is forgotten'],
    ['forget', 'PeerService.Forget', { forgotten: false }, 'was not known'],
  ])('%s takes the id of a node that is not known, too', async (action, method, answer, text) => {
    const { code, stdout, calls } = await run(['peers', action, STRANGER], { [method]: echo(answer) });
    expect(calls.map((call) => call.method)).toEqual([method]);
    expect(stdout).toContain(`${STRANGER} ${text}`);
    expect(code).toBe(0);
  });

  it.each<[string[], number, string]>([
    [['ping'], 2, 'ping needs the id of a node'],
    [['ls', 'alpha'], 2, 'ls lists every peer'],
    [['ping', 'gamma'], 3, 'no node is known by "gamma"'],
    [['ping', ''], 3, 'no node is known by ""'],
    [['pong', 'alpha'], 2, 'pong'],
  ])('%j is refused', async (args, expected, message) => {
    const { code, stderr, calls } = await run(['peers', ...args]);
    expect(code).toBe(expected);
    expect(stderr).toContain(message);
    const asked = ['PeerService.Identity', 'PeerService.List'];
    expect(calls.every(({ method }) => asked.includes(method))).toBe(true);
  });

  it('does not guess which of several nodes is meant', async () => {
    const twins = [FIRST, SECOND].map((node_id) => ({ ...PEERS[0], node_id }));
    const { code, stderr } = await run(['peers', 'deny', 'alpha'], { 'PeerService.List': { peers: twins } });
    expect(code).toBe(2);
    for (const id of [FIRST, SECOND]) expect(stderr).toContain(`${id}  alpha`);
  });

  it('ends with the code for what is unreachable when a peer does not answer', async () => {
    const message = 'node X did not answer within 5000 ms';
    const { code, stderr } = await run(['peers', 'ping', FIRST], {
      'PeerService.Ping': new StubError(-32016, 'peer_unreachable', message),
    });
    expect(code).toBe(7);
    expect(stderr).toContain(message);
  });
});

describe('node', () => {
  const info: NodeInfoView = {
    node_id: FIRST,
    cluster_id: '0123456789abcdef',
    name: 'alpha',
    version: '1.2.3',
    uptime_ms: 7_500_000,
    draining: false,
    waiting: 2,
    working: 1,
    running: 4,
  };

  it('shows which node it is, and what it has to do', async () => {
    const { code, stdout } = await run(['node'], { 'NodeService.Info': info });
    expect(stdout.split('\n')).toEqual([
      `Node     ${FIRST}`,
      'Host     alpha',
      'Cluster  0123456789abcdef',
      'Version  1.2.3',
      'Up for   2h 5m',
      'State    open',
      'Jobs     2 waiting, 1 at work, 4 running',
      '',
    ]);
    expect(code).toBe(0);
  });

  it.each([
    ['drain', 'NodeService.Drain', true, 'drained: it accepts no new jobs'],
    ['undrain', 'NodeService.Undrain', false, 'open'],
  ])('%s', async (action, method, draining, text) => {
    const { stdout, calls } = await run(['node', action], { [method]: { ...info, draining } });
    expect(calls.map((call) => call.method)).toEqual([method]);
    expect(stdout).toContain(text);
    const json = await run(['node', action, '-o', 'json'], { [method]: { ...info, draining } });
    expect(JSON.parse(json.stdout)).toEqual({ ...info, draining });
  });
});

describe('run --on', () => {
  it.each([
    ['any', 'any'],
    ['every', 'every'],
    ['alpha', FIRST],
    [SECOND.slice(-8), SECOND],
    ['omega', SELF],
    [STRANGER, STRANGER],
  ])('places the job on %s', async (place, placement) => {
    const created = { job_id: '01890000-0000-7000-8000-000000000000', message: 'Job created successfully' };
    const { code, calls } = await run(['run', '--on', place, 'app'], { 'ContainerService.Create': created });
    expect(code).toBe(0);
    expect(calls.at(-1)).toMatchObject({
      method: 'ContainerService.Create',
      params: { image: 'app', placement },
    });
  });

  it('refuses a node that nobody knows, and creates nothing', async () => {
    const { code, stderr, calls } = await run(['run', '--on', 'gamma', 'app']);
    expect(code).not.toBe(0);
    expect(stderr).toContain('no node is known by "gamma"');
    const asked = calls.map(({ method }) => method).sort();
    expect(asked).toEqual(['PeerService.Identity', 'PeerService.List']);
  });
});

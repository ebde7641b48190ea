import { describe, expect, it } from 'vitest';
import type { SessionView } from '../../../src/api/wire.ts';
import { openUpgrade } from '../../support/discon/upgrade.ts';
import { waitFor } from '../../support/wait-for.ts';
import { startDoor, type DoorHarness } from '../frontdoor/door-harness.ts';
import { cli } from './cli-process.ts';
import { StubNode } from './stub-node.ts';

const SOON_MS = 10_000;

async function connect({ port }: DoorHarness): Promise<Disposable> {
  const { socket } = await openUpgrade({ host: '127.0.0.1', port, target: '/ws?controller=rosco' });
  socket.on('error', () => undefined).resume();
  return { [Symbol.dispose]: () => void socket.destroy() };
}

describe('connections of a front door', () => {
  it('are listed, and one is closed by the beginning of its id', async () => {
    const harness = await startDoor();
    expect(await cli(['connections'], harness)).toEqual({
      ...{ code: 0, stdout: '', stderr: 'Nobody is connected.\n' },
    });
    using _one = await connect(harness);
    using _other = await connect(harness);
    const [first, second] = harness.door.sessions();
    const listed = await cli(['connections', 'ls'], harness);
    expect(listed.stdout).toMatch(
      /^CONNECTION {2}CLIENT {5}CONTROLLER {3}JOB +SINCE +RECEIVED +SENT\n[0-9a-f]{8} {4}127\.0\.0\.1 {2}rosco@2\.9\.4 {2}[0-9a-f-]{13,} +(?:now|\ds ago) +\d+ B +\d+ B\n/,
    );
    const inJson = await cli(['connections', '--output', 'json'], harness);
    expect(JSON.parse(inJson.stdout)).toMatchObject([{ session_id: first?.id }, { session_id: second?.id }]);

    const closed = await cli(['connections', 'close', first?.id.slice(0, 8) ?? ''], harness);
    expect(closed).toEqual({ code: 0, stdout: `${first?.id}  closed\n`, stderr: '' });
    await waitFor('it to end', SOON_MS, () => harness.door.sessionCount === 1);
    expect(harness.door.sessions()[0]?.id).toBe(second?.id);
  });
});

const session = (session_id: string): SessionView => ({
  ...{ session_id, client: '192.0.2.7', job_id: '01a1fd1c-0512-76b6-ae64-8f1b899dc419' },
  ...{ opened_at: new Date(0).toISOString(), received_bytes: 0, sent_bytes: 0 },
});

describe('connections close', () => {
  const answers = { 'SessionService.List': { sessions: ['aaaa-1', 'aaaa-2'].map(session) } };

  it.each([
    [['close', 'zz'], 3, 'no connection has an id that begins with "zz"'],
    [['close', 'aaaa'], 2, "aaaa is the beginning of several connections' ids:\n  aaaa-1  192.0.2.7\n"],
    [['close', ''], 3, 'no connection has an id that begins with ""'],
    [['close'], 2, 'close needs the id of a connection'],
    [['ls', 'aaaa'], 2, 'ls lists every connection'],
  ])('%j closes nothing', async (args, code, text) => {
    await using node = await StubNode.start(answers);
    const result = await cli(['connections', ...args], { port: node.port });
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(text) as string });
    expect(node.calls.map(({ method }) => method)).not.toContain('SessionService.Close');
  });
});

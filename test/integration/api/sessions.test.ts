import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { METHODS } from '../../../src/api/methods/table.ts';
import type { SessionView } from '../../../src/api/wire.ts';
import type { JobId } from '../../../src/kernel/ids.ts';
import { openUpgrade, type Upgraded } from '../../support/discon/upgrade.ts';
import { waitFor } from '../../support/wait-for.ts';
import { startDoor, type DoorHarness } from '../frontdoor/door-harness.ts';
import { http, rpc, startApi } from './api-harness.ts';

const SOON_MS = 10_000;

async function open({ port }: DoorHarness, target = '/ws?controller=rosco'): Promise<Upgraded> {
  const upgraded = await openUpgrade({ host: '127.0.0.1', port, target });
  upgraded.socket.on('error', () => undefined);
  return upgraded;
}

async function sessionsOf({ port }: { readonly port: number }): Promise<SessionView[]> {
  const { result } = await rpc(port, 'SessionService.List');
  expect(METHODS['SessionService.List'].result().parse(result)).toEqual(result);
  return (result as unknown as { sessions: SessionView[] }).sessions;
}

describe('SessionService', () => {
  test('List shows who is connected to what, since when, and how much has passed each way', async () => {
    const harness = await startDoor();
    expect(await sessionsOf(harness)).toEqual([]);
    const { socket } = await open(harness);
    socket.resume();
    const [session] = await sessionsOf(harness);
    expect(session).toMatchObject({ client: '127.0.0.1', controller: 'rosco@2.9.4' });
    expect(Date.parse(session?.opened_at ?? '')).toBeGreaterThan(Date.now() - 60_000);
    socket.write(Buffer.alloc(100_000));
    await waitFor('what is echoed to be counted', SOON_MS, async () => {
      const [now] = await sessionsOf(harness);
      const [before, after] = [session as SessionView, now as SessionView];
      return (
        after.received_bytes - before.received_bytes >= 100_000 &&
        after.sent_bytes - before.sent_bytes >= 100_000
      );
    });
    socket.destroy();
    await waitFor('the session to end', SOON_MS, async () => (await sessionsOf(harness)).length === 0);
  });

  test('Close ends one connection and leaves the others', async () => {
    const harness = await startDoor();
    const [first, second] = [await open(harness), await open(harness)];
    first.socket.resume();
    const [oldest, other] = await sessionsOf(harness);
    const ended = once(first.socket, 'end');
    const { result } = await rpc(harness.port, 'SessionService.Close', { session_id: oldest?.session_id });
    expect(result).toEqual({ session_id: oldest?.session_id, closed: true });
    await ended;
    await waitFor('its container to go', SOON_MS, () => harness.pool.count === 1);
    expect(await sessionsOf(harness)).toMatchObject([{ session_id: other?.session_id }]);
    expect(second.socket.destroyed).toBe(false);
    for (const { socket } of [first, second]) socket.destroy();
  });

  test('Close of what is not there says so', async () => {
    for (const { port } of [await startApi(), await startDoor()]) {
      const { error } = await rpc(port, 'SessionService.Close', { session_id: 'none' });
      expect(error).toMatchObject({
        code: -32001,
        message: 'there is no session "none"',
        data: { reason: 'session_not_found' },
      });
    }
  });
});

describe('GET /containers as text', () => {
  test('has the lines that scripts look for, with the clients of each', async () => {
    const harness = await startDoor({ entries: [{ sharing: 'shared' }] });
    const clients = [await open(harness), await open(harness)];
    const [session] = await sessionsOf(harness);
    const { id: alone } = await harness.jobs.create();
    await harness.jobs.reach(alone, 'running');
    const { text, headers } = await http(harness.port, '/containers', { headers: { accept: 'text/plain' } });
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    const line = (id: JobId, shown: string): string =>
      `Container: cm-${id} (ID: ${harness.jobs.instanceId(id).slice(0, 12)}, Client: ${shown})\n`;
    const shared = session?.job_id as JobId;
    expect(text).toBe(line(alone, 'none') + line(shared, '127.0.0.1, 127.0.0.1'));
    for (const { socket } of clients) socket.destroy();
  });
});

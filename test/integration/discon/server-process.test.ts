import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { disconArguments, messageIn, SWAP } from '../../support/discon/arguments.ts';
import { DisconClient } from '../../support/discon/client.ts';
import { isListening } from '../../support/discon/is-listening.ts';
import { ServerProcess } from '../../support/discon/server-process.ts';
import { PATIENCE } from '../../support/patience.ts';

async function connect({ address, programs }: ServerProcess, pauses: number[] = []): Promise<DisconClient> {
  const options = { serverAddress: address, libraryPath: programs.controller, proc: 'DISCON' };
  return DisconClient.connect({ ...options, connectPausesMs: pauses });
}

describe('a server of controllers that is a process', () => {
  it('serves, and is gone with all it made once it is disposed of', async () => {
    const server = await ServerProcess.start();
    using client = await connect(server);
    const given = disconArguments();
    await client.call(given);
    expect(messageIn(given)).toBe('DISCON called 1 times');
    expect(await server.files()).toContainEqual(expect.stringMatching(/^libdiscon\.so-/));
    client.drop();
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
    await server[Symbol.asyncDispose]();
    expect(await isListening(server.host, server.port)).toBe(false);
    expect(existsSync(`/proc/${server.pid}`)).toBe(false);
  });

  it('takes the switches, and another port', async () => {
    await using first = await ServerProcess.start({ env: { REFUSE: 'no' } });
    await expect(connect(first)).rejects.toMatchObject({ attempts: [{ status: 500, body: 'no\n' }] });
    await first[Symbol.asyncDispose]();
    const late = { port: first.port, env: { START_DELAY_MS: '300' }, isAwaited: false };
    await using second = await ServerProcess.start(late);
    using client = await connect(second, new Array<number>(200).fill(50));
    expect(client.attempts.length).toBeGreaterThan(0);
  });

  it('can be silent with its connections open', async () => {
    await using server = await ServerProcess.start();
    using client = await connect(server);
    await server.hang();
    let hasReturned = false;
    const given = disconArguments();
    const call = client.call(given).then(() => (hasReturned = true));
    // Many times what a call takes.
    await delay(100);
    expect(hasReturned).toBe(false);
    server.resume();
    await call;
    expect(messageIn(given)).toBe('DISCON called 1 times');
  });

  it('ends as the controller in it does', async () => {
    await using server = await ServerProcess.start();
    using client = await connect(server);
    const given = disconArguments();
    given.swap[SWAP.crash] = 1;
    await expect(client.call(given)).rejects.toThrow('the connection was lost');
    expect(await server.exited).toEqual({ code: null, signal: 'SIGSEGV' });
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disconArguments, messageIn } from '../../support/discon/arguments.ts';
import { DisconClient, type DisconClientOptions } from '../../support/discon/client.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../../support/discon/image.ts';
import { RawWebSocket } from '../../support/discon/raw-web-socket.ts';
import { ServerContainer } from '../../support/discon/server-container.ts';
import { DockerRun } from '../../support/docker.ts';

const MIB = 1024 ** 2;
const TARGET = `/ws?path=${LIBRARY_PATHS.controller}&proc=DISCON`;
/** No second attempt. */
const ONCE: Partial<DisconClientOptions> = { connectPausesMs: [] };

let run: DockerRun;
let image: ControllerImage;
const open: Disposable[] = [];

beforeAll(async () => {
  run = await DockerRun.start();
  image = await importControllerImage(run.docker);
});
afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]();
});
afterAll(async () => {
  await run[Symbol.asyncDispose]();
  await image[Symbol.asyncDispose]();
});

async function start(env: Record<string, string>, isAwaited = true): Promise<ServerContainer> {
  return ServerContainer.start(run, image.reference, { env, isAwaited });
}

async function connect(
  server: ServerContainer,
  options: Partial<DisconClientOptions> = ONCE,
): Promise<DisconClient> {
  const client = await DisconClient.connect({
    serverAddress: server.address,
    libraryPath: LIBRARY_PATHS.controller,
    proc: 'DISCON',
    ...options,
  });
  open.push(client);
  return client;
}

async function connectRaw({ host, port }: ServerContainer): Promise<RawWebSocket> {
  const webSocket = await RawWebSocket.open({ host, port, target: TARGET });
  open.push(webSocket);
  return webSocket;
}

async function callOnce(client: DisconClient): Promise<string> {
  const given = disconArguments();
  await client.call(given);
  return messageIn(given);
}

describe('a switch of the server', () => {
  it('START_DELAY_MS: listens later, and is refused by nobody who tries again', async () => {
    const server = await start({ START_DELAY_MS: '1500' }, false);
    const client = await connect(server, { connectPausesMs: Array.from({ length: 200 }, () => 100) });
    expect(client.attempts[0]?.error.message).toMatch(/ECONNREFUSED|EHOSTUNREACH/);
    expect(await callOnce(client)).toBe('DISCON called 1 times');
  });

  it('REFUSE: every upgrade is answered with 500 and that text', async () => {
    const server = await start({ REFUSE: 'Error loading function from shared library' });
    await expect(connect(server, { connectPausesMs: [0, 0, 0, 0] })).rejects.toMatchObject({
      name: 'SimulatorEndedError',
      message: `failed to connect to discon-server at ${server.address} after 5 attempts`,
      attempts: Array.from({ length: 5 }, () => ({
        status: 500,
        body: 'Error loading function from shared library\n',
      })),
    });
  });

  it('REFUSE_COUNT: only the first are', async () => {
    const server = await start({ REFUSE: 'not yet', REFUSE_COUNT: '2' });
    const client = await connect(server, { connectPausesMs: [0, 0, 0, 0] });
    expect(client.attempts.map(({ body }) => body)).toEqual(['not yet\n', 'not yet\n']);
    expect(await callOnce(client)).toBe('DISCON called 1 times');
  });

  it('HANG_UPGRADE: an upgrade is never answered', async () => {
    const server = await start({ HANG_UPGRADE: '1' });
    await expect(connect(server, { ...ONCE, handshakeLimitMs: 300 })).rejects.toMatchObject({
      attempts: [{ error: { message: 'no answer to the upgrade within 300 ms' }, status: undefined }],
    });
  });

  it('GARBAGE: the answer is none of HTTP', async () => {
    const server = await start({ GARBAGE: '1' });
    await expect(connect(server)).rejects.toMatchObject({
      attempts: [
        {
          error: { message: 'the connection ended before an answer of HTTP, after 256 bytes' },
          body: undefined,
        },
      ],
    });
    expect(await server.isRunning()).toBe(true);
  });

  it('DROP_AFTER_101: the connection is accepted and dropped, and the server goes on', async () => {
    const server = await start({ DROP_AFTER_101: '1' });
    const webSocket = await connectRaw(server);
    expect(await webSocket.ended).toEqual({ kind: 'fin', closeFrame: undefined });
    await expect(callOnce(await connect(server))).rejects.toThrow('the connection was lost');
  });

  it('DIE_AFTER_101: the connection is accepted, and the server ends', async () => {
    const server = await start({ DIE_AFTER_101: '1' });
    const webSocket = await connectRaw(server);
    await webSocket.ended;
    expect(await server.exitCode()).toBe(1);
  });

  it('FLOOD: frames come without end, as fast as they are read', async () => {
    const server = await start({ FLOOD: '1' });
    const webSocket = await connectRaw(server);
    for (let count = 0; count < 100; count += 1) {
      const { type, data } = await webSocket.receive();
      expect([type, data.length]).toEqual(['binary', 65_536]);
    }
    webSocket.stopReading();
    expect(webSocket.receivedBytes).toBeLessThan(64 * MIB);
    webSocket.drop();
    expect(await server.isRunning()).toBe(true);
  });

  it('IGNORE_TERM: goes on when it is asked to end, as it does not otherwise', async () => {
    const [deaf, other] = [await start({ IGNORE_TERM: '1' }), await start({})];
    await deaf.container.kill({ signal: 'SIGTERM' });
    await other.container.kill({ signal: 'SIGTERM' });
    expect(await other.exitCode()).toBe(143);
    expect(await callOnce(await connect(deaf))).toBe('DISCON called 1 times');
  });
});

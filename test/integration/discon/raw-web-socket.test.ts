import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectionEnd, RawWebSocket } from '../../support/discon/raw-web-socket.ts';
import { ScriptedServer } from '../../support/discon/scripted-server.ts';
import { OPCODES } from '../../support/discon/web-socket-frames.ts';
import { PATIENCE } from '../../support/patience.ts';

const MIB = 1024 ** 2;

const open: (Disposable | AsyncDisposable)[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) {
    if (Symbol.dispose in each) each[Symbol.dispose]();
    else await each[Symbol.asyncDispose]();
  }
});

/** Both sides of one connection. */
async function pair(
  options: { answersPings?: boolean } = {},
): Promise<{ near: RawWebSocket; far: RawWebSocket }> {
  const { promise, resolve } = Promise.withResolvers<RawWebSocket>();
  const server = await ScriptedServer.start({ onWebSocket: (webSocket) => resolve(webSocket) });
  open.push(server);
  const near = await RawWebSocket.open({ host: '127.0.0.1', port: server.port, target: '/', ...options });
  open.push(near);
  return { near, far: await promise };
}

describe('a WebSocket in the hands of a test', () => {
  it('carries 5 MB both ways as they were, whole and in pieces', async () => {
    const { near, far } = await pair();
    const payload = Buffer.alloc(5 * MIB, 'pattern');
    await near.sendBinary(payload);
    const there = await far.receive();
    expect([there.type, there.frameCount, there.data.equals(payload)]).toEqual(['binary', 1, true]);
    await far.sendInFragments(OPCODES.text, payload, MIB);
    const back = await near.receive();
    expect([back.type, back.frameCount, back.data.equals(payload)]).toEqual(['text', 5, true]);
  });

  it('masks what a client sends, and not what a server sends, unless it is told otherwise', async () => {
    const { near, far } = await pair();
    await near.sendText('a');
    await near.send({ opcode: OPCODES.text, payload: Buffer.from('b'), isMasked: false });
    await far.sendText('c');
    expect([await far.receive(), await far.receive(), await near.receive()]).toMatchObject([
      { data: Buffer.from('a'), isMasked: true },
      { data: Buffer.from('b'), isMasked: false },
      { data: Buffer.from('c'), isMasked: false },
    ]);
  });

  it('sends an empty message too, whole or in pieces', async () => {
    const { near, far } = await pair();
    await near.sendInFragments(OPCODES.binary, Buffer.alloc(0), 10);
    expect((await far.receive()).data).toHaveLength(0);
  });

  it('answers pings, and keeps what it saw of them', async () => {
    const { near, far } = await pair();
    const payload = Buffer.from('are you there');
    await far.send({ opcode: OPCODES.ping, payload });
    await expect.poll(() => far.controlFrames, PATIENCE).toMatchObject([{ opcode: OPCODES.pong, payload }]);
    expect(near.controlFrames).toMatchObject([{ opcode: OPCODES.ping, payload }]);
  });

  it('does not answer them when it is told so', async () => {
    const { near, far } = await pair({ answersPings: false });
    await far.send({ opcode: OPCODES.ping, payload: Buffer.from('are you there') });
    await expect.poll(() => near.controlFrames, PATIENCE).toHaveLength(1);
    await near.sendText('an answer would have come before');
    await far.receive();
    expect(far.controlFrames).toEqual([]);
  });

  it.each<[string, (far: RawWebSocket) => void | Promise<void>, Partial<ConnectionEnd>]>([
    ['is dropped', (far) => far.drop(), { kind: 'fin', closeFrame: undefined }],
    ['is reset', (far) => far.abort(), { kind: 'reset', closeFrame: undefined }],
    [
      'is closed with a code',
      async (far) => {
        await far.sendClose(1011, 'no more');
        far.drop();
      },
      { kind: 'fin', closeFrame: { code: 1011, reason: 'no more' } },
    ],
    [
      'is closed without one',
      async (far) => {
        await far.send({ opcode: OPCODES.close, payload: Buffer.alloc(0) });
        far.drop();
      },
      { kind: 'fin', closeFrame: { code: undefined, reason: '' } },
    ],
  ])('sees how it ends when it %s', async (_what, end, seen) => {
    const { near, far } = await pair();
    const waiting = near.receive();
    await end(far);
    expect(await near.ended).toEqual(seen);
    await expect(waiting).rejects.toMatchObject({ name: 'ConnectionEndedError', end: seen });
    await expect(near.receive()).rejects.toMatchObject({ name: 'ConnectionEndedError', end: seen });
  });

  it('knows that it dropped the connection itself', async () => {
    const { near } = await pair();
    near.drop();
    expect(await near.ended).toEqual({ kind: 'own', closeFrame: undefined });
  });

  it('gives what came before the end, even after it', async () => {
    const { near, far } = await pair();
    await far.sendText('last');
    far.drop();
    await near.ended;
    expect((await near.receive()).data.toString()).toBe('last');
    await expect(near.receive()).rejects.toMatchObject({ name: 'ConnectionEndedError' });
  });

  it('can end its own half and go on listening', async () => {
    const { near, far } = await pair();
    near.endSending();
    expect((await far.ended).kind).toBe('fin');
    await far.sendText('still here');
    expect((await near.receive()).data.toString()).toBe('still here');
  });

  it('can read nothing, so that the other side gets rid of no more, until it reads again', async () => {
    const { near, far } = await pair();
    near.stopReading();
    const payload = Buffer.alloc(32 * MIB);
    let isSent = false;
    const sent = far.sendBinary(payload).then(() => (isSent = true));
    await near.sendText('this way it is open');
    await far.receive();
    expect([isSent, near.receivedBytes]).toEqual([false, 0]);
    near.startReading();
    await sent;
    expect((await near.receive()).data.equals(payload)).toBe(true);
  });

  it('reads no more than its bound while nothing is taken', async () => {
    const { near, far } = await pair();
    const sent: Promise<void>[] = [];
    for (let count = 0; count < 12; count += 1) sent.push(far.sendBinary(Buffer.alloc(4 * MIB)));
    await expect.poll(() => near.receivedBytes, PATIENCE).toBeGreaterThan(32 * MIB);
    expect(near.receivedBytes).toBe(36 * MIB);
    for (let count = 0; count < 12; count += 1) expect((await near.receive()).data).toHaveLength(4 * MIB);
    await Promise.all(sent);
  });

  it('fails when nobody listens, and says what it asked of a server that is none', async () => {
    const server = await ScriptedServer.start({
      onRequest: (_request, socket) => {
        socket.destroy();
        return true;
      },
    });
    open.push(server);
    const request = { host: '127.0.0.1', port: server.port, target: '/x?y' };
    await expect(RawWebSocket.open(request)).rejects.toMatchObject({ name: 'HandshakeError' });
    expect(server.requests[0]?.url).toBe('/x?y');
  });
});

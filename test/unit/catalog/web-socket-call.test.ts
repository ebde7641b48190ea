import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import { callOnce, UpgradeRefused } from '../../../src/catalog/live-test/web-socket-call.ts';

const NEVER = new AbortController().signal;
const CALL = Buffer.from('call');

async function serve(answer: (socket: WebSocket, message: Buffer) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data) => answer(socket, data as Buffer));
  });
  await once(server, 'listening');
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
}

/** What answers in bytes of its own. */
async function serveRaw(answer: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
}

describe('a call over a WebSocket', () => {
  it('gives the first binary message, whatever text came before', async () => {
    const url = await serve((socket, message) => {
      socket.send('welcome');
      socket.send(Buffer.concat([message, Buffer.from(' back')]));
      socket.send(Buffer.from('more'));
    });
    expect(String(await callOnce(url, CALL, NEVER))).toBe('call back');
  });

  it('is refused in the words of the server, as far as they are few', async () => {
    const url = await serveRaw((socket) => {
      socket.write('HTTP/1.1 500 No\r\nConnection: close\r\n\r\nError loading shared library\n');
      socket.end('x'.repeat(100_000));
    });
    const refusal: unknown = await callOnce(url, CALL, NEVER).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UpgradeRefused);
    expect((refusal as Error).message).toMatch(/^500 Error loading shared library\nx+$/);
    expect((refusal as Error).message.length).toBeLessThan(510);
  });

  it('takes no message that is larger than one may be', async () => {
    const url = await serve((socket) => socket.send(Buffer.alloc(1024 ** 2 + 1)));
    await expect(callOnce(url, CALL, NEVER)).rejects.toThrow('Max payload size exceeded');
  });

  it('fails when the other side goes', async () => {
    const url = await serve((socket) => socket.terminate());
    await expect(callOnce(url, CALL, NEVER)).rejects.toThrow('closed the connection without an answer');
  });

  it('is left at once by who waits for it', async () => {
    const asked = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const url = await serve((socket) => {
      socket.on('close', () => gone.resolve());
      asked.resolve();
    });
    const left = new AbortController();
    const call = callOnce(url, CALL, left.signal);
    await asked.promise;
    left.abort(new Error('left'));
    await expect(call).rejects.toThrow('left');
    await gone.promise;
    await expect(callOnce(url, CALL, left.signal)).rejects.toThrow('left');
  });
});

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';

/** Of what a stranger's program may send us. */
const MAX_MESSAGE_BYTES = 1024 ** 2;
const MAX_REFUSAL_CHARS = 500;

/** It answered, and not with a WebSocket. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused';
}

/** Opens a WebSocket, sends one binary message, and resolves with the first one that comes. Fails with whatever went wrong. */
export async function callOnce(url: string, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted();
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  const end = (): void => socket.terminate();
  signal.addEventListener('abort', end);
  try {
    return await answerOf(socket, message);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', end);
    socket.terminate();
  }
}

function answerOf(socket: WebSocket, message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      void refusalOf(response).then(reject);
    });
    socket.on('open', () => socket.send(message));
    // Its servers may send text, and mean nothing by it.
    socket.on('message', (data, isBinary) => {
      if (isBinary) resolve(data as Buffer);
    });
    socket.on('close', () => reject(new Error('it closed the connection without an answer')));
  });
}

async function refusalOf(response: IncomingMessage): Promise<UpgradeRefused> {
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (text.length > MAX_REFUSAL_CHARS) response.destroy();
  });
  await once(response, 'close').catch(() => undefined);
  return new UpgradeRefused(`${response.statusCode ?? 0} ${text.slice(0, MAX_REFUSAL_CHARS)}`.trim());
}

import type { Socket } from 'node:net';
import type { Upstream } from '../instances/instances.ts';
import { AnswerError, readAnswerHead, valueOf, type AnswerHead } from './answer-head.ts';
import { isWholeText, textOf } from './answer-text.ts';
import type { Handshake } from './handshake.ts';
import type { Refusal } from './refusal.ts';
import { Refused } from './refused.ts';

/** What an instance is asked for. */
export interface UpstreamRequest {
  readonly upstream: Upstream;
  /** With the query. */
  readonly path: string;
  readonly handshake: Pick<Handshake, 'key' | 'passedOn'>;
}

/** An upstream that has agreed to speak WebSocket. */
export interface UpstreamConnection {
  /** Paused. */
  readonly socket: Socket;
  /** What came right behind the answer. */
  readonly head: Buffer;
  /** What is passed on of the answer: name, value, name, value. */
  readonly fields: readonly string[];
}

const PASSED_BACK: ReadonlySet<string> = new Set([
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]);
const SWITCHING = 101;

/**
 * Asks for a WebSocket on a connection that is being made, and reads the answer. Fails with a `Refused`, with what the connection
 * failed with, or with the signal's reason; then the connection is gone.
 */
export function shakeHands(
  socket: Socket,
  request: UpstreamRequest,
  signal: AbortSignal,
): Promise<UpstreamConnection> {
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader();
    const settle = (outcome: UpstreamConnection | Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', settle).off('data', onData).off('end', onEnd).off('close', onClose);
      if (!(outcome instanceof Error)) return resolve(outcome);
      socket.destroy();
      reject(outcome);
    };
    const take = (step: () => Answer | undefined): void => {
      try {
        const answer = step();
        if (answer === undefined) return;
        socket.pause();
        settle(connectionOf(socket, answer));
      } catch (error) {
        settle(error as Error);
      }
    };
    const onData = (chunk: Buffer): void => take(() => reader.push(chunk));
    const onEnd = (): void => take(() => reader.end());
    const onClose = (): void => settle(reset());
    const onAbort = (): void => settle(signal.reason as Error);
    socket.on('error', settle).on('data', onData).on('end', onEnd).on('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) return onAbort();
    socket.write(requestText(request), 'latin1');
  });
}

/** A whole answer, and what came behind it: what is passed on, or the text of a refusal. */
interface Answer {
  readonly head: AnswerHead;
  readonly body: Buffer;
}

/** Puts an answer together out of what comes. */
class AnswerReader {
  #bytes: Buffer = Buffer.alloc(0);
  #head: AnswerHead | undefined;

  /** Undefined while more of it has to come. Throws an `AnswerError`. */
  push(chunk: Buffer): Answer | undefined {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const head = (this.#head ??= this.#readHead());
    if (head === undefined) return undefined;
    const isWhole = head.status === SWITCHING || isWholeText(head, this.#bytes);
    return isWhole ? { head, body: this.#bytes } : undefined;
  }

  /** Nothing more comes. */
  end(): Answer {
    if (this.#head === undefined) {
      // Asked again it would say the same.
      if (this.#bytes.length > 0) throw new AnswerError('its answer breaks off');
      throw reset();
    }
    return { head: this.#head, body: this.#bytes };
  }

  /** The first that is more than a sign of life, such as 100. */
  #readHead(): AnswerHead | undefined {
    for (;;) {
      const head = readAnswerHead(this.#bytes);
      if (head === undefined) return undefined;
      this.#bytes = this.#bytes.subarray(head.end);
      if (head.status >= 200 || head.status === SWITCHING) return head;
    }
  }
}

function connectionOf(socket: Socket, { head, body }: Answer): UpstreamConnection {
  if (head.status !== SWITCHING) throw new Refused(refusalOf(head.status, textOf(head, body)));
  const { fields } = head;
  const hasAgreed =
    valueOf(fields, 'upgrade')?.toLowerCase() === 'websocket' &&
    valueOf(fields, 'sec-websocket-accept') !== undefined;
  if (!hasAgreed) {
    const text = 'the controller answered with something that is no WebSocket';
    throw new Refused({ status: 502, text });
  }
  const passedBack = fields.filter((_, index) => {
    const name = fields[index - (index % 2)] ?? '';
    return PASSED_BACK.has(name.toLowerCase());
  });
  return { socket, head: body, fields: passedBack };
}

/** What the instance itself says counts; what is no refusal at all is one of a bad gateway. */
function refusalOf(status: number, text: string): Refusal {
  if (status >= 400 && status < 600)
    return { status, text: text === '' ? `the controller answered ${status}` : text };
  return { status: 502, text: `the controller answered ${status}, not with a WebSocket` };
}

function requestText({ upstream, path, handshake }: UpstreamRequest): string {
  const { host, port } = upstream;
  const { key, passedOn } = handshake;
  let text = `GET ${path} HTTP/1.1\r\nHost: ${host.includes(':') ? `[${host}]` : host}:${port}\r\n`;
  text += 'Upgrade: websocket\r\nConnection: Upgrade\r\n';
  text += `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n`;
  for (let index = 0; index + 1 < passedOn.length; index += 2)
    text += `${passedOn[index]}: ${passedOn[index + 1]}\r\n`;
  return `${text}\r\n`;
}

/** As the engine's own proxy shows it when nobody listens behind it yet. */
function reset(): Error {
  return Object.assign(new Error('it closed the connection without an answer'), { code: 'ECONNRESET' });
}

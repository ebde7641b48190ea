import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { acceptUpgrade, type HttpHead, openUpgrade, type Upgraded, type UpgradeRequest } from './upgrade.ts';
import {
  encodeWebSocketFrame,
  type FrameToSend,
  OPCODES,
  type ReceivedFrame,
  WebSocketFrameReader,
} from './web-socket-frames.ts';

/** What a test has not taken yet; past it nothing more is read from the connection. */
const MAX_UNTAKEN_BYTES = 32 * 1024 ** 2;
const CLOSE_CODE_BYTES = 2;

export interface ReceivedMessage {
  readonly type: 'text' | 'binary';
  readonly data: Buffer;
  /** In how many frames it came. */
  readonly frameCount: number;
  /** Whether its first frame was. */
  readonly isMasked: boolean;
}

export interface CloseFrame {
  /** Undefined in an empty one. */
  readonly code: number | undefined;
  readonly reason: string;
}

/** How the connection ended, as seen from here. */
export interface ConnectionEnd {
  /** `fin`: the other side has no more to say; `reset`: it was torn down; `own`: this side dropped it. */
  readonly kind: 'fin' | 'reset' | 'own';
  /** The close frame that came before, if one did. */
  readonly closeFrame: CloseFrame | undefined;
}

/** What was waited for cannot come any more. */
export class ConnectionEndedError extends Error {
  override readonly name = 'ConnectionEndedError';
  readonly end: ConnectionEnd;

  constructor(end: ConnectionEnd) {
    super(`the connection ended (${end.kind})`);
    this.end = end;
  }
}

export interface RawWebSocketOptions extends UpgradeRequest {
  /** Whether pings are answered by themselves, as a client does that is reading. Default true. */
  readonly answersPings?: boolean;
}

interface Waiter {
  readonly resolve: (message: ReceivedMessage) => void;
  readonly reject: (error: Error) => void;
}

/** Only clients mask what they send. */
type Side = 'client' | 'server';

/**
 * One side of a WebSocket, with nothing done by itself but the answers to pings: every frame, and every way of ending, is
 * the test's own. Dispose to drop the connection.
 */
export class RawWebSocket implements Disposable {
  /** The answer to the upgrade. */
  readonly head: HttpHead;
  readonly ended: Promise<ConnectionEnd>;
  /** Pings and pongs that came, in order. */
  readonly controlFrames: ReceivedFrame[] = [];
  /** Bytes of messages that came so far, whole or not. */
  receivedBytes = 0;
  readonly #socket: Socket;
  readonly #transport: Socket;
  readonly #reader = new WebSocketFrameReader();
  readonly #answersPings: boolean;
  readonly #side: Side;
  readonly #finish: (end: ConnectionEnd) => void;
  #fragments: ReceivedFrame[] = [];
  #untaken: ReceivedMessage[] = [];
  #untakenBytes = 0;
  #waiters: Waiter[] = [];
  #isHeld = false;
  #end: ConnectionEnd | undefined;
  #closeFrame: CloseFrame | undefined;

  private constructor({ socket, transport, head, rest }: Upgraded, answersPings: boolean, side: Side) {
    const { promise, resolve } = Promise.withResolvers<ConnectionEnd>();
    this.head = head;
    this.ended = promise;
    this.#finish = resolve;
    this.#socket = socket;
    this.#transport = transport;
    this.#answersPings = answersPings;
    this.#side = side;
    // Read like all that follows, and not before.
    if (rest.length > 0) socket.unshift(rest);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('end', () => this.#endAs('fin'));
    socket.on('error', () => this.#endAs('reset'));
    socket.on('close', () => this.#endAs('own'));
    this.#updateFlow();
  }

  /** Fails with an `UpgradeRefusedError` or a `HandshakeError`. */
  static async open(options: RawWebSocketOptions): Promise<RawWebSocket> {
    return new RawWebSocket(await openUpgrade(options), options.answersPings ?? true, 'client');
  }

  /** The server's side, out of the arguments of an `upgrade` event of `node:http`. */
  static accept(request: IncomingMessage, socket: Socket, rest: Buffer): RawWebSocket {
    return new RawWebSocket(acceptUpgrade(request, socket, rest), true, 'server');
  }

  /** Of the TCP connection, on this side. */
  get localPort(): number {
    return this.#transport.localPort ?? 0;
  }

  /** Any frame, right or wrong. Resolves when the bytes have left this process. */
  async send(frame: FrameToSend): Promise<void> {
    await this.sendBytes(encodeWebSocketFrame({ isMasked: this.#side === 'client', ...frame }));
  }

  async sendBinary(payload: Buffer): Promise<void> {
    await this.send({ opcode: OPCODES.binary, payload });
  }

  async sendText(text: string): Promise<void> {
    await this.send({ opcode: OPCODES.text, payload: Buffer.from(text) });
  }

  /** One message in frames of at most so many bytes. */
  async sendInFragments(opcode: number, payload: Buffer, fragmentBytes: number): Promise<void> {
    for (let at = 0; at === 0 || at < payload.length; at += fragmentBytes) {
      await this.send({
        opcode: at === 0 ? opcode : OPCODES.continuation,
        payload: payload.subarray(at, at + fragmentBytes),
        isFinal: at + fragmentBytes >= payload.length,
      });
    }
  }

  async sendClose(code: number, reason = ''): Promise<void> {
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
    await this.send({ opcode: OPCODES.close, payload });
  }

  /** Bytes that need not be a frame. */
  async sendBytes(bytes: Buffer): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    await promise;
  }

  /** The next text or binary message, however long it takes; fails when the connection ends first. */
  async receive(): Promise<ReceivedMessage> {
    const message = this.#untaken.shift();
    if (message !== undefined) {
      this.#untakenBytes -= message.data.length;
      this.#updateFlow();
      return message;
    }
    if (this.#end !== undefined) throw new ConnectionEndedError(this.#end);
    const { promise, resolve, reject } = Promise.withResolvers<ReceivedMessage>();
    this.#waiters.push({ resolve, reject });
    return promise;
  }

  /** Reads nothing from now on: what comes fills the buffers on the way, and an end is not seen. */
  stopReading(): void {
    this.#isHeld = true;
    this.#updateFlow();
  }

  startReading(): void {
    this.#isHeld = false;
    this.#updateFlow();
  }

  /** Says that nothing more will be sent, and goes on reading. */
  endSending(): void {
    this.#socket.end();
  }

  /** Tears the connection down with a reset. Not for a server's side that speaks TLS. */
  abort(): void {
    this.#transport.resetAndDestroy();
  }

  /** Drops the connection, as when the process ends. */
  drop(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.drop();
  }

  #updateFlow(): void {
    if (this.#isHeld || this.#untakenBytes > MAX_UNTAKEN_BYTES) this.#socket.pause();
    else this.#socket.resume();
  }

  #read(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) {
      if (frame.opcode < OPCODES.close) this.#takeData(frame);
      else if (frame.opcode === OPCODES.close) this.#closeFrame ??= closeFrameOf(frame.payload);
      else this.#takeControl(frame);
    }
    this.#updateFlow();
  }

  #takeControl(frame: ReceivedFrame): void {
    this.controlFrames.push(frame);
    if (frame.opcode !== OPCODES.ping || !this.#answersPings) return;
    const isMasked = this.#side === 'client';
    this.#socket.write(encodeWebSocketFrame({ opcode: OPCODES.pong, payload: frame.payload, isMasked }));
  }

  #takeData(frame: ReceivedFrame): void {
    this.receivedBytes += frame.payload.length;
    this.#fragments.push(frame);
    if (!frame.isFinal) return;
    const fragments = this.#fragments;
    this.#fragments = [];
    const message: ReceivedMessage = {
      type: fragments[0]?.opcode === OPCODES.text ? 'text' : 'binary',
      data: Buffer.concat(fragments.map(({ payload }) => payload)),
      frameCount: fragments.length,
      isMasked: fragments[0]?.isMasked === true,
    };
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) return waiter.resolve(message);
    this.#untaken.push(message);
    this.#untakenBytes += message.data.length;
  }

  /** The first reason counts: after an end comes the close of the socket too. */
  #endAs(kind: ConnectionEnd['kind']): void {
    if (this.#end !== undefined) return;
    this.#end = { kind, closeFrame: this.#closeFrame };
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new ConnectionEndedError(this.#end));
    this.#finish(this.#end);
  }
}

function closeFrameOf(payload: Buffer): CloseFrame {
  const hasCode = payload.length >= CLOSE_CODE_BYTES;
  return {
    code: hasCode ? payload.readUInt16BE(0) : undefined,
    reason: payload.toString('utf8', CLOSE_CODE_BYTES),
  };
}

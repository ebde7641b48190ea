import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import {
  type DoorHarness,
  type DoorOverrides,
  startDoor,
} from '../../../integration/frontdoor/door-harness.ts';
import { agree } from '../../../integration/frontdoor/test-upstream.ts';
import { waitFor } from '../../../support/wait-for.ts';

const HEAD_END = '\r\n\r\n';
const KEY = Buffer.alloc(16, 7).toString('base64');
/** What a request for a WebSocket has besides its request line. */
export const HANDSHAKE = [
  'Host: door',
  'Connection: Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
] as const;

/** For whatever should happen at once, on a machine that has other things to do, ms. */
const SOON_MS = 30_000;
/** Whoever was answered is listened to for so long: a second answer would come now, ms. */
const SECOND_ANSWER_MS = 20;
const BETWEEN_PIECES_MS = 2;
/** What a container takes to agree, ms. */
const AGREE_MS = 5;

/** A request, line by line. */
export function requestOf(...lines: readonly string[]): string {
  return [...lines, '', ''].join('\r\n');
}

/** One for a WebSocket, with further header lines. */
export function handshakeFor(target: string, ...lines: readonly string[]): string {
  return requestOf(`GET ${target} HTTP/1.1`, ...HANDSHAKE, ...lines);
}

export interface Answer {
  /** Of everything that was answered, in turn. */
  readonly statuses: readonly number[];
  /** Open where the last one is 101. */
  readonly socket: Socket;
}

/**
 * Sends bytes as they are, each piece a moment after the one before, and gives what is answered: as far as the 101, or else until the
 * connection has ended.
 */
export async function send(port: number, ...pieces: readonly string[]): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  const [answered, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (text.includes(HEAD_END)) answered.resolve();
  });
  // A reset is an end like any other.
  socket.on('error', () => undefined).on('close', () => closed.resolve());
  socket.setTimeout(SOON_MS, () => socket.destroy());
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await delay(BETWEEN_PIECES_MS);
    socket.write(piece, 'latin1');
  }
  const isLed = (): boolean => statusesIn(text).at(-1) === 101;
  await Promise.race([answered.promise, closed.promise]);
  if (!isLed()) await Promise.race([delay(SECOND_ANSWER_MS), closed.promise]);
  if (!isLed()) {
    socket.end();
    await closed.promise;
  }
  return { statuses: statusesIn(text), socket };
}

function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** What came over one connection to a container. */
export interface Received {
  /** The first request, without the empty line. */
  readonly head: string;
  /** Behind it, before it was answered. */
  readonly early: string;
  /** Behind it, after that. */
  late: string;
}

/** A container that writes down every byte. It takes its time to agree, so that whatever is sent too early is seen. */
export class RecordingBackend implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#record(socket));
  }

  static async start(): Promise<RecordingBackend> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RecordingBackend(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #record(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    let text = '';
    let connection: Received | undefined;
    socket.on('data', (chunk: Buffer) => {
      if (connection !== undefined) return void (connection.late += chunk.toString('latin1'));
      text += chunk.toString('latin1');
    });
    socket.once('data', () => {
      setTimeout(() => {
        const end = text.indexOf(HEAD_END);
        connection = { head: text.slice(0, end), early: text.slice(end + HEAD_END.length), late: '' };
        this.received.push(connection);
        agree({
          requestLine: '',
          headers: new Map([['sec-websocket-key', KEY]]),
          socket,
          rest: Buffer.alloc(0),
        });
      }, AGREE_MS);
    });
  }
}

/** A door whose only container is made once, and writes down all that it is sent. */
export async function startRecorded(
  overrides: DoorOverrides = {},
): Promise<{ harness: DoorHarness; backend: RecordingBackend }> {
  const backend = await RecordingBackend.start();
  onTestFinished(() => backend[Symbol.asyncDispose]());
  const entry = { sharing: 'shared', max_connections: 1_000, ports: { internal: backend.port } } as const;
  return { harness: await startDoor({ entries: [entry], ...overrides }), backend };
}

/** The head that a container is sent where nothing of the client's own is passed on. */
export function headFor(target: string, port: number, ...lines: readonly string[]): string {
  const fixed = [`Host: 127.0.0.1:${port}`, 'Upgrade: websocket', 'Connection: Upgrade'];
  const webSocket = [`Sec-WebSocket-Key: ${KEY}`, 'Sec-WebSocket-Version: 13'];
  return [`GET ${target} HTTP/1.1`, ...fixed, ...webSocket, ...lines].join('\r\n');
}

export const nothingLeft = (harness: DoorHarness): Promise<number> =>
  waitFor(
    'nothing to be left',
    SOON_MS,
    () =>
      harness.door.sessionCount === 0 &&
      harness.pool.count === 0 &&
      harness.pool.waitingCount === 0 &&
      harness.upstream.openCount === 0 &&
      harness.jobs.fake.instances.size === 0,
  );

/** The time that so much of them stay below. */
export function quantile(timesMs: readonly number[], share: number): number {
  const sorted = timesMs.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.POSITIVE_INFINITY;
}

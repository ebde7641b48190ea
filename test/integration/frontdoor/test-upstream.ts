import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What a connection to the upstream began with. */
export interface ReceivedHead {
  /** `GET /ws?path=... HTTP/1.1` */
  readonly requestLine: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly socket: Socket;
  /** What came behind it. */
  readonly rest: Buffer;
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const HEAD_END = '\r\n\r\n';

/** What listens in every container of a fake engine: plain TCP, with whatever answer a test gives. */
export class TestUpstream implements AsyncDisposable {
  readonly port: number;
  readonly heads: ReceivedHead[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Given each request; by default it agrees, and sends back what it gets. */
  answer: (head: ReceivedHead) => void = agreeAndEcho;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#take(socket));
  }

  static async start(): Promise<TestUpstream> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TestUpstream(server);
  }

  /** Connections that are open, probes of readiness included. */
  get openCount(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf(HEAD_END);
      if (end < 0) return;
      socket.off('data', onData);
      const [requestLine = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
      const headers = new Map(
        lines.map((line) => [
          line.split(':')[0]?.toLowerCase() ?? '',
          line.slice(line.indexOf(':') + 1).trim(),
        ]),
      );
      const head = { requestLine, headers, socket, rest: received.subarray(end + HEAD_END.length) };
      this.heads.push(head);
      this.answer(head);
    };
    socket.on('data', onData);
    // Who only looks whether it listens sends nothing.
    socket.once('end', () => socket.end());
  }
}

/** Says 101 as it must be said, with further lines if need be. */
export function agree({ socket, headers }: ReceivedHead, ...lines: string[]): void {
  const accept = createHash('sha1')
    .update(`${headers.get('sec-websocket-key') ?? ''}${GUID}`)
    .digest('base64');
  const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write([...head, `Sec-WebSocket-Accept: ${accept}`, ...lines, '', ''].join('\r\n'));
}

export function agreeAndEcho(head: ReceivedHead): void {
  agree(head);
  head.socket.write(head.rest);
  head.socket.pipe(head.socket);
}

import { once } from 'node:events';
import { createServer, type AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type DoorHarness, startDoor } from '../../integration/frontdoor/door-harness.ts';
import { HANDSHAKE, handshakeFor, requestOf, send } from './support/requests.ts';

/** Something of this host that no client is to be led to. */
async function startSecret(): Promise<number> {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Where this process connects to from now on, but for the clients of the door: `host:port`, or a path. */
function recordDials(harness: DoorHarness): ReadonlySet<string> {
  const dials = new Set<string>();
  const connect = Socket.prototype.connect;
  const spy = vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (
    this: Socket,
    ...args: unknown[]
  ) {
    const [first] = args as [unknown];
    // Node's own functions give their options in a list.
    const { host, port, path } = (Array.isArray(first) ? first[0] : first) as Record<string, string | number>;
    if (port !== harness.port) dials.add(path === undefined ? `${host}:${port}` : `${path}`);
    return Reflect.apply(connect, this, args) as Socket;
  });
  onTestFinished(() => spy.mockRestore());
  return dials;
}

/** What a client may write where a name is asked for, to be led somewhere else or to write lines of its own. */
const tricks = (secret: number): readonly string[] => [
  `127.0.0.1:${secret}`,
  `http://127.0.0.1:${secret}/`,
  `ws://127.0.0.1:${secret}/ws`,
  `//127.0.0.1:${secret}/ws`,
  `rosco@127.0.0.1:${secret}`,
  `http://rosco:x@127.0.0.1:${secret}/`,
  `2130706433:${secret}`,
  `0177.0.0.1:${secret}`,
  `0x7f.1:${secret}`,
  `127.1:${secret}`,
  `[::ffff:127.0.0.1]:${secret}`,
  `[::1]:${secret}`,
  `localhost:${secret}`,
  `localhost.:${secret}`,
  '169.254.169.254/latest/meta-data',
  'unix:/var/run/docker.sock',
  '/var/run/docker.sock',
  'file:///etc/passwd',
  '../../../etc/passwd',
  '..%2f..%2fetc%2fpasswd',
  '\\\\127.0.0.1\\share',
  'a b HTTP/1.1',
  'a HTTP/1.1\r\nHost: elsewhere\r\nX: ',
  'a\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  'a\nb',
  'a\rb',
  'a\tb',
  'a\0b',
  // Cut to one byte each, these are a CR and an LF.
  'a\u010d\u010aGET / HTTP/1.1',
  'a\u2028b',
  'a?path=/other',
  'a&path=/other&proc=other',
  'a#fragment',
  'a@elsewhere',
  'a;b=c',
  'a%00b',
  'a%0d%0ab',
  '%',
  '+',
  '$(reboot)',
  '{{7*7}}',
  '__proto__',
  'constructor',
  '\u202egnp.exe',
  'x'.repeat(250),
  'x'.repeat(3_900),
  'x'.repeat(4_200),
];

const PARAMETERS = ['controller', 'version', 'path', 'proc', 'job'] as const;
/** One line, in which everything that could mean something is escaped. */
const REQUEST_LINE =
  /^GET \/ws(?:\?(?<query>(?:path|proc)=[A-Za-z0-9%+*._-]+(?:&proc=[A-Za-z0-9%+*._-]+)?))? HTTP\/1\.1$/;
const FIELD_NAMES = ['host', 'upgrade', 'connection', 'sec-websocket-key', 'sec-websocket-version'];

/** What the container was asked for, or undefined when the client was refused. */
async function led(harness: DoorHarness, request: string): Promise<URLSearchParams | undefined> {
  const before = harness.upstream.heads.length;
  const { statuses, socket } = await send(harness.port, request);
  socket.destroy();
  const heads = harness.upstream.heads.slice(before);
  expect(heads.length).toBe(statuses.filter((status) => status === 101).length);
  const [head] = heads;
  if (head === undefined) return undefined;
  expect(head.requestLine).toMatch(REQUEST_LINE);
  expect([...head.headers.keys()]).toEqual(FIELD_NAMES);
  expect(head.headers.get('host')).toBe(`127.0.0.1:${harness.upstream.port}`);
  expect(head.rest.toString()).toBe('');
  return new URLSearchParams(REQUEST_LINE.exec(head.requestLine)?.groups?.['query']);
}

test('F3: whatever a client asks for, its container is the only place that is connected to', async () => {
  const [harness, secret] = [
    await startDoor({ entries: [{ sharing: 'shared', max_connections: 1_000, allow_path: true }] }),
    await startSecret(),
  ];
  const dials = recordDials(harness);
  const job = await harness.jobs.create({ healthcheck: { tcp: harness.upstream.port } });
  await harness.jobs.reach(job.id, 'running');
  let ledCount = 0;
  for (const trick of tricks(secret)) {
    for (const parameter of PARAMETERS) {
      const query = await led(harness, handshakeFor(`/ws?${parameter}=${encodeURIComponent(trick)}`));
      ledCount += query === undefined ? 0 : 1;
      // To the container it is a name, and nothing else, or it is not passed on at all.
      if (parameter === 'proc' || parameter === 'path') expect(query?.get(parameter) ?? trick).toBe(trick);
      else expect(query).toBeUndefined();
    }
    const ofJob = await led(harness, handshakeFor(`/ws?job=${job.id}&proc=${encodeURIComponent(trick)}`));
    expect(ofJob?.get('proc') ?? trick).toBe(trick);
  }
  expect(ledCount).toBeGreaterThan(2 * 25);
  expect([...dials]).toEqual([`127.0.0.1:${harness.upstream.port}`]);
});

test('F3: nor can the request itself lead anywhere else', async () => {
  const [harness, secret] = [await startDoor({ entries: [{ sharing: 'shared' }] }), await startSecret()];
  const dials = recordDials(harness);
  const elsewhere = `127.0.0.1:${secret}`;
  const withHost = (host: string): string[] =>
    HANDSHAKE.map((line) => line.replace('Host: door', `Host: ${host}`));
  const requests = [
    requestOf(`CONNECT ${elsewhere} HTTP/1.1`, `Host: ${elsewhere}`),
    requestOf(`CONNECT ${elsewhere} HTTP/1.1`, ...withHost(elsewhere)),
    requestOf(`GET http://${elsewhere}/ws HTTP/1.1`, ...withHost(elsewhere)),
    requestOf(`GET http://door@${elsewhere}/ws HTTP/1.1`, ...withHost(elsewhere)),
    requestOf(`GET ws://${elsewhere}/ws HTTP/1.1`, ...withHost(elsewhere)),
    requestOf(`GET //${elsewhere}/ws HTTP/1.1`, ...HANDSHAKE),
    requestOf(`GET @${elsewhere}/ws HTTP/1.1`, ...HANDSHAKE),
    requestOf(`GET /ws@${elsewhere} HTTP/1.1`, ...HANDSHAKE),
    requestOf(`GET /${elsewhere}/ws HTTP/1.1`, ...HANDSHAKE),
    requestOf(`GET ${elsewhere} HTTP/1.1`, ...HANDSHAKE),
    requestOf('OPTIONS * HTTP/1.1', ...HANDSHAKE),
    requestOf('GET /ws HTTP/1.1', ...withHost(elsewhere)),
    handshakeFor('/ws?host=elsewhere&port=1&upstream=elsewhere&target=elsewhere'),
    handshakeFor(`/ws?proc=a#@${elsewhere}`),
    handshakeFor('/ws?proc=a b'),
    handshakeFor('/ws?proc=\xc4\x8a'),
    handshakeFor('/ws?proc=a%0'),
    handshakeFor('/ws?proc=%ff%fe'),
    handshakeFor('/ws?proc=%c0%8a'),
    handshakeFor('/ws?%70roc=a%26path%3D%2Fother'),
    handshakeFor('/ws?proc=a;path=/other'),
    handshakeFor('/ws??proc=a'),
    handshakeFor(`/ws?proc=a&${'proc=b&'.repeat(500)}`),
    handshakeFor(`/ws?${'x'.repeat(4_000)}`),
    handshakeFor(`/ws?${'x'.repeat(5_000)}`),
  ];
  for (const request of requests) {
    const query = await led(harness, request);
    expect([undefined, '/app/libdiscon.so']).toContain(query?.get('path'));
  }
  expect([...dials]).toEqual([`127.0.0.1:${harness.upstream.port}`]);
});

import { expect, test } from 'vitest';
import { HANDSHAKE, handshakeFor, headFor, requestOf, send, startRecorded } from './support/requests.ts';

const PATH = '/ws?path=%2Fapp%2Flibdiscon.so&proc=DISCON';

/** Fields by which a program behind a proxy is told who its client is, and what else a client might like to say to a container. */
const FIELDS = [
  'X-Forwarded-For: 198.51.100.7',
  'x-forwarded-for: 198.51.100.7',
  'X-Forwarded-For:',
  'X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 198.51.100.8',
  'X-Forwarded-Host: elsewhere',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Port: 443',
  'X-Forwarded-Prefix: /admin',
  'X-Forwarded-Server: elsewhere',
  'X-Forwarded-Uri: /admin',
  'X-Forwarded-Method: DELETE',
  'X-Forwarded-User: root',
  'X-Forwarded-Client-Cert: Subject="CN=root"',
  'X-Forwarded_For: 198.51.100.7',
  'X_Forwarded_For: 198.51.100.7',
  'X_FORWARDED_HOST: elsewhere',
  'Forwarded: for=198.51.100.7;host=elsewhere;proto=https',
  'Forwarded_: for=198.51.100.7',
  'Via: 1.1 elsewhere',
  'X-Real-IP: 198.51.100.7',
  'X_Real_IP: 198.51.100.7',
  'X-Client-IP: 198.51.100.7',
  'X-Cluster-Client-IP: 198.51.100.7',
  'X-Originating-IP: 198.51.100.7',
  'True-Client-IP: 198.51.100.7',
  'CF-Connecting-IP: 198.51.100.7',
  'Fastly-Client-IP: 198.51.100.7',
  'X-Original-URL: /admin',
  'X-Rewrite-URL: /admin',
  'X-Original-Host: elsewhere',
  'X-Host: elsewhere',
  'Host_: elsewhere',
  'X-HTTP-Method-Override: DELETE',
  'Remote-User: root',
  'REMOTE_USER: root',
  'X-Remote-User: root',
  'X-Auth-Request-User: root',
  'X-SSL-Client-Verify: SUCCESS',
  'SSL_CLIENT_VERIFY: SUCCESS',
  'Authorization: Bearer root',
  'Proxy-Authorization: Basic cm9vdA==',
  'Proxy: http://elsewhere',
  'Cookie: session=1',
  'Referer: https://elsewhere/',
  'TE: trailers',
  'Trailer: X-Forwarded-For',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
  'Early-Data: 1',
  'Sec-WebSocket-Accept: forged',
  'Sec_WebSocket_Protocol: forged',
  'User_Agent: forged',
  'X-Controller: forged',
  '__proto__: forged',
  'constructor: forged',
] as const;

/** What else `Connection` names is not to be passed on either, and there is nothing to be taken away from it. */
const CONNECTIONS = [
  ['Upgrade, X-Foo', 'X-Foo: bar'],
  ['X-Foo, upgrade', 'X-Foo: bar'],
  ['Upgrade, X-Forwarded-For', 'X-Forwarded-For: 198.51.100.7'],
  ['close, Upgrade, Host', 'X-Foo: bar'],
  ['Upgrade, Sec-WebSocket-Key, Sec-WebSocket-Version', 'X-Foo: bar'],
  ['keep-alive, Upgrade, X_Foo', 'X_Foo: bar'],
] as const;

test(`F2: a container sees none of ${FIELDS.length + CONNECTIONS.length} sets of fields of its client`, async () => {
  // Whoever says that a client is elsewhere is asked for a token otherwise.
  const { harness, backend } = await startRecorded({ api: { access: { mode: 'none' } } });
  const named = CONNECTIONS.map(([connection, field]) => {
    const lines = HANDSHAKE.map((line) =>
      line.startsWith('Connection:') ? `Connection: ${connection}` : line,
    );
    return [`Connection: ${connection}`, requestOf('GET /ws HTTP/1.1', ...lines, field)];
  });
  const sets = [...FIELDS.map((field) => [field, handshakeFor('/ws', ...field.split('\r\n'))]), ...named];
  const seen: Record<string, string | undefined> = {};
  for (const [name = '', request = ''] of sets) {
    const { socket, statuses } = await send(harness.port, request);
    expect(statuses, name).toEqual([101]);
    socket.destroy();
    seen[name] = backend.received.at(-1)?.head;
  }
  const own = headFor(PATH, backend.port);
  expect(seen).toEqual(Object.fromEntries(sets.map(([name]) => [name, own])));
  expect(backend.received).toHaveLength(sets.length);
});

test('F6: what client and container agree on is theirs, and is not looked at', async () => {
  const { harness, backend } = await startRecorded();
  const lines = [
    'sec-websocket-extensions: permessage-deflate; client_max_window_bits, x-unheard-of; a="b, c"',
    'sec-websocket-extensions: permessage-bzip2',
    'sec-websocket-protocol: discon.v2, discon.v1',
    'user-agent: simulator/1.0 (caf\xe9)',
  ];
  // A bomb and a frame of a kind that there is not: bytes like any others.
  const frames = `\xc1\x7e\xff\xff${'\0'.repeat(0xffff)}\xff\x00`;
  const { socket } = await send(harness.port, handshakeFor('/ws', ...lines));
  socket.write(Buffer.from(frames, 'latin1'));
  await expect.poll(() => backend.received[0]?.late, { timeout: 15_000 }).toBe(frames);
  expect(backend.received[0]?.head).toBe(headFor(PATH, backend.port, ...lines));
  socket.destroy();
});

import { describe, expect, test } from 'vitest';
import { waitFor } from '../../support/wait-for.ts';
import {
  HANDSHAKE,
  handshakeFor,
  headFor,
  requestOf,
  send,
  startRecorded,
  type Received,
} from './support/requests.ts';

const SOON_MS = 5_000;
/** What must never become a request of its own. */
const SECOND = handshakeFor('/ws?proc=second');
const CHUNK = `${SECOND.length.toString(16)}\r\n${SECOND}\r\n0\r\n\r\n`;
/** Ends a body in chunks at once, for whoever takes it for one. */
const NO_CHUNKS = `0\r\n\r\n${SECOND}`;

/** One way to make two programs see different requests in the same bytes. */
interface Vector {
  readonly name: string;
  /** In pieces that come one after another. */
  readonly sent: readonly string[];
  /** Of a client that is led to a container: what that gets, behind a request that is always the same. */
  readonly passedOn?: string;
}

/** Whether it was answered with refusals alone, or not at all; and what came to the container. */
interface Outcome {
  readonly isRefused: boolean;
  readonly received: readonly Received[];
}

const refused = (name: string, ...sent: string[]): Vector => ({ name, sent });
const led = (name: string, passedOn: string, ...sent: string[]): Vector => ({ name, sent, passedOn });

/** A handshake that is spoilt by further lines, with what would be a second request as its body. */
const spoilt = (lines: string, body = NO_CHUNKS): Vector =>
  refused(JSON.stringify(lines), handshakeFor('/ws', ...lines.split('\r\n')) + body);

const withoutHost = HANDSHAKE.filter((line) => !line.startsWith('Host:'));

const FRAMING: readonly Vector[] = [
  spoilt('Content-Length: 0\r\nTransfer-Encoding: chunked'),
  spoilt(`Content-Length: ${SECOND.length}\r\nTransfer-Encoding: chunked`),
  spoilt('Transfer-Encoding: chunked\r\nContent-Length: 6'),
  spoilt('Content-Length: 0\r\nContent-Length: 0', SECOND),
  spoilt(`Content-Length: 0\r\nContent-Length: ${SECOND.length}`, SECOND),
  spoilt(`Content-Length: 0, ${SECOND.length}`, SECOND),
  spoilt(`Content-Length: ${SECOND.length}`, SECOND),
  spoilt('Content-Length: +0', SECOND),
  spoilt('Content-Length: -1', SECOND),
  spoilt('Content-Length: 0x0', SECOND),
  spoilt('Content-Length:', SECOND),
  spoilt('Content-Length: 99999999999999999999', SECOND),
  spoilt('Content-Length : 5', SECOND),
  spoilt('Transfer-Encoding: chunked'),
  refused('chunks that hold it', handshakeFor('/ws', 'Transfer-Encoding: chunked') + CHUNK),
  spoilt('Transfer-Encoding: CHUNKED'),
  spoilt('Transfer-Encoding: gzip, chunked'),
  spoilt('Transfer-Encoding: chunked, identity'),
  spoilt('Transfer-Encoding: identity'),
  spoilt('Transfer-Encoding: xchunked'),
  spoilt('Transfer-Encoding: "chunked"'),
  spoilt('Transfer-Encoding:'),
  spoilt('Transfer-Encoding : chunked'),
  spoilt('Transfer-Encoding\t: chunked'),
  spoilt('Transfer-Encoding:\tchunked'),
  spoilt('Transfer-Encoding: \x0bchunked'),
  spoilt('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'),
  spoilt('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked'),
  spoilt('Transfer-Encoding:\r\n chunked'),
  spoilt('X-A: b\r\n Transfer-Encoding: chunked'),
  spoilt('X-A: b\r\n\tContent-Length: 5'),
  spoilt('X-A: b\nTransfer-Encoding: chunked'),
  spoilt('X-A: b\rTransfer-Encoding: chunked'),
  spoilt('X-A: b\0Transfer-Encoding: chunked'),
  spoilt('X-\0A: b'),
  spoilt(': chunked'),
  spoilt('no colon at all'),
  spoilt('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked'),
  spoilt('Upgrade: websocket', SECOND),
  spoilt('Upgrade: h2c', SECOND),
  spoilt('Sec-WebSocket-Version: 13', SECOND),
];

/** CVE-2026-29057: proxies that expect no body of a DELETE or an OPTIONS say so, and pass it on all the same. */
const METHODS = ['DELETE', 'OPTIONS', 'HEAD', 'POST', 'PUT', 'TRACE', 'GET'].flatMap((method) => {
  const [plain, webSocket] = [['Host: localhost'], HANDSHAKE];
  const withChunks = (lines: readonly string[]): string =>
    requestOf(`${method} /ws HTTP/1.1`, ...lines, 'Transfer-Encoding: chunked') + CHUNK;
  return [
    refused(`${method} with chunks`, withChunks(plain)),
    refused(`${method} with chunks, for a WebSocket`, withChunks(webSocket)),
    method === 'GET'
      ? led('GET for a WebSocket', SECOND, requestOf('GET /ws HTTP/1.1', ...webSocket) + SECOND)
      : refused(`${method} for a WebSocket`, requestOf(`${method} /ws HTTP/1.1`, ...webSocket) + SECOND),
  ];
});

const HOSTS: readonly Vector[] = [
  refused('two hosts', handshakeFor('/ws', 'Host: elsewhere') + SECOND),
  refused('the same host twice', handshakeFor('/ws', 'Host: door')),
  refused('no host', requestOf('GET /ws HTTP/1.1', ...withoutHost)),
  refused('another host in the target', handshakeFor('http://elsewhere/ws')),
  led('its own host in the target', '', handshakeFor('http://door/ws')),
];

const TARGETS: readonly Vector[] = [
  '//elsewhere/ws',
  '//ws',
  '/../../ws',
  '/./ws',
  '/ws/',
  '/ws/..',
  '/%77s',
  '/WS',
  '/ws;a=b',
  '/ws%3Fproc=second',
  '/ws\\',
  '*',
  'ws',
  'door:80',
  'ws://door/ws',
].map((target) => refused(`target ${target}`, handshakeFor(target)));

const VERSIONS: readonly Vector[] = [
  refused('HTTP/0.9', `GET /ws\r\n\r\n${SECOND}`),
  refused('HTTP/1.0', requestOf('GET /ws HTTP/1.0', ...HANDSHAKE)),
  refused('HTTP/1.2', requestOf('GET /ws HTTP/1.2', ...HANDSHAKE) + SECOND),
  refused('HTTP/11.1', requestOf('GET /ws HTTP/11.1', ...HANDSHAKE) + SECOND),
  refused('HTTP/2.0', requestOf('GET /ws HTTP/2.0', ...HANDSHAKE) + SECOND),
  refused('the preface of HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${SECOND}`),
  refused('no version', requestOf('GET /ws', ...HANDSHAKE) + SECOND),
  refused('two versions', requestOf('GET /ws HTTP/1.1 HTTP/1.1', ...HANDSHAKE) + SECOND),
  refused('a request line that is folded', requestOf('GET /ws\r\n HTTP/1.1', ...HANDSHAKE) + SECOND),
  refused('a method in lower case', requestOf('get /ws HTTP/1.1', ...HANDSHAKE) + SECOND),
  refused('a method that nobody knows', requestOf('SECOND /ws HTTP/1.1', ...HANDSHAKE) + SECOND),
  refused('no method', requestOf(' /ws HTTP/1.1', ...HANDSHAKE) + SECOND),
  refused('a NUL before it', `\0${handshakeFor('/ws')}`),
];

/** Every value that a byte can have. */
const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, value) => value));

const BEHIND: readonly Vector[] = [
  led('a request behind it', SECOND, handshakeFor('/ws') + SECOND),
  led('a request that comes before the answer', SECOND, handshakeFor('/ws'), SECOND),
  led('half a request behind it', SECOND.slice(0, 40), handshakeFor('/ws') + SECOND.slice(0, 40)),
  led('the end of a body behind it', NO_CHUNKS, handshakeFor('/ws') + NO_CHUNKS),
  led('every byte behind it', ALL_BYTES, handshakeFor('/ws') + ALL_BYTES),
  led('a head that comes line by line', '', ...handshakeFor('/ws').split(/(?<=\n)/)),
  led('empty lines before it', '', `\r\n\r\n${handshakeFor('/ws')}`),
  led('a length of nothing', SECOND, handshakeFor('/ws', 'Content-Length: 0') + SECOND),
  led(
    'names that only look like those of a body',
    NO_CHUNKS,
    handshakeFor('/ws', 'Transfer_Encoding: chunked', 'Content_Length: 5') + NO_CHUNKS,
  ),
  led('a wish to be told to go on', SECOND, handshakeFor('/ws', 'Expect: 100-continue') + SECOND),
  refused('a request behind one that is refused', handshakeFor('/ws?controller=nobody') + SECOND),
  refused(
    'a request behind one whose framing is refused',
    requestOf('GET /health HTTP/1.1', 'Host: localhost', 'Content-Length: 3') + SECOND,
  ),
  refused(
    'a request that is the body of another',
    requestOf('POST /ws HTTP/1.1', 'Host: localhost', `Content-Length: ${SECOND.length}`) + SECOND,
  ),
  refused(
    'a request behind a wish for a tunnel',
    requestOf('CONNECT door:80 HTTP/1.1', 'Host: door:80') + SECOND,
  ),
  refused(
    'a request behind one for another protocol',
    requestOf('GET /ws HTTP/1.1', 'Host: localhost', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c') +
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ),
];

describe('F1: each request becomes one of the container, or none', () => {
  test.each([
    ['framed so that its end is not sure', FRAMING],
    ['with methods that have no body', METHODS],
    ['for other hosts', HOSTS],
    ['with other targets', TARGETS],
    ['of other versions', VERSIONS],
    ['with something before or behind it', BEHIND],
  ])('%s', async (_what, vectors) => {
    const { harness, backend } = await startRecorded();
    const own = headFor('/ws?path=%2Fapp%2Flibdiscon.so&proc=DISCON', backend.port);
    const became: Record<string, Outcome> = {};
    for (const { name, sent, passedOn = '' } of vectors) {
      const before = backend.received.length;
      const { statuses, socket } = await send(harness.port, ...sent);
      const [newest] = backend.received.slice(before);
      // What is never passed on is seen by its absence, below.
      const isPassedOn = (): boolean => newest === undefined || newest.late.length >= passedOn.length;
      await waitFor('what was sent behind it', SOON_MS, isPassedOn).catch(() => undefined);
      socket.destroy();
      const isRefused = statuses.every((status) => status >= 400);
      became[name] = { isRefused, received: backend.received.slice(before) };
    }
    const expected = vectors.map(({ name, passedOn: late }): [string, Outcome] => [
      name,
      late === undefined
        ? { isRefused: true, received: [] }
        : { isRefused: false, received: [{ head: own, early: '', late }] },
    ]);
    expect(became).toEqual(Object.fromEntries(expected));
    // Nothing came of any of them later.
    const ledCount = vectors.filter(({ passedOn }) => passedOn !== undefined).length;
    expect([backend.received.length, harness.opened.length]).toEqual([ledCount, ledCount]);
    expect(Object.keys(became)).toHaveLength(vectors.length);
  });

  test('what follows the 101 is passed on, whatever it looks like, and begins nothing', async () => {
    const { harness, backend } = await startRecorded();
    const { socket, statuses } = await send(harness.port, handshakeFor('/ws'));
    expect(statuses).toEqual([101]);
    const sent = `${SECOND}${CHUNK}DELETE / HTTP/1.1\r\n\r\n`.repeat(20);
    for (let at = 0; at < sent.length; at += 777) socket.write(sent.slice(at, at + 777));
    await waitFor('all of it', SOON_MS, () => backend.received[0]?.late.length === sent.length);
    expect(backend.received).toHaveLength(1);
    expect(backend.received[0]?.late).toBe(sent);
    socket.destroy();
  });

  test('a request behind one that is not answered yet is not answered in its place', async () => {
    const { harness, backend } = await startRecorded();
    const { id } = await harness.jobs.create();
    const params = { job_id: id, timeout_ms: 300 };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'JobService.Wait', params });
    const lines = ['Host: localhost', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    const second = SECOND.replace('Host: door', 'Host: localhost');
    const { statuses } = await send(harness.port, requestOf('POST /jrpc HTTP/1.1', ...lines) + body + second);
    // Each in its turn, and the second one is led nowhere.
    expect(statuses).toEqual([200, 426]);
    expect(backend.received).toEqual([]);
  });
});

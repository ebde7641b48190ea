import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { RpcClient, RpcError, type EventMessage } from '../../../src/api/client.ts';
import { LineSplitter } from '../../../src/api/client/line-splitter.ts';
import { parseNodeAddress } from '../../../src/api/client/node-address.ts';
import { SseParser } from '../../../src/api/client/sse-parser.ts';
import { freePort } from '../../support/free-port.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function answer(response: ServerResponse, body: unknown, status = 200, type = 'application/json'): void {
  response
    .writeHead(status, { 'Content-Type': type })
    .end(typeof body === 'string' ? body : JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('parseNodeAddress', () => {
  it.each([
    ['localhost:8080', 'localhost', 8080, false, 'localhost:8080'],
    ['node-1', 'node-1', 8080, false, 'node-1:8080'],
    ['node-1:80', 'node-1', 80, false, 'node-1:80'],
    ['http://node-1', 'node-1', 80, false, 'node-1:80'],
    ['http://node-1:9000/', 'node-1', 9000, false, 'node-1:9000'],
    ['https://node-1', 'node-1', 443, true, 'https://node-1:443'],
    ['HTTPS://node-1:8443', 'node-1', 8443, true, 'https://node-1:8443'],
    ['[::1]:8080', '::1', 8080, false, '[::1]:8080'],
    ['127.0.0.1', '127.0.0.1', 8080, false, '127.0.0.1:8080'],
  ])('%s', (text, host, port, isTls, shown) => {
    expect(parseNodeAddress(text)).toEqual({ host, port, isTls, text: shown });
  });

  it.each([
    '',
    'a b',
    'ftp://x',
    'x/path',
    'http://x/jrpc',
    'u:p@x',
    'x?y',
    'x#y',
    'x:0',
    'x:99999',
    '::1',
    ':8080',
  ])('refuses %j', (text) => {
    expect(() => parseNodeAddress(text)).toThrow(RpcError);
  });
});

describe('call', () => {
  it('sends JSON-RPC 2.0 with the token, and gives back the result', async () => {
    const seen: unknown[] = [];
    const address = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        const { method, url, headers } = request;
        seen.push({
          method,
          url,
          type: headers['content-type'],
          token: headers.authorization,
          connection: headers.connection,
        });
        seen.push(JSON.parse(body));
        answer(response, { jsonrpc: '2.0', id: 1, result: { job_id: 'x', status: 'running' } });
      });
    });
    const client = new RpcClient({ address, token: 'secret' });
    expect(await client.call('ContainerService.Status', { job_id: 'ü' })).toEqual({
      job_id: 'x',
      status: 'running',
    });
    expect(seen).toEqual([
      { method: 'POST', url: '/jrpc', type: 'application/json', token: 'Bearer secret', connection: 'close' },
      { jsonrpc: '2.0', id: 1, method: 'ContainerService.Status', params: { job_id: 'ü' } },
    ]);
  });

  it.each([200, 401, 403])(
    'turns an error in a reply of status %i into an RpcError with all it says',
    async (status) => {
      const data = { reason: 'queue_full', retryable: true, retry_after_ms: 1500, details: { limit: 5 } };
      const error = { code: -32010, message: 'job queue is full', data };
      const address = await serve((_request, response) =>
        answer(response, { jsonrpc: '2.0', id: 1, error }, status),
      );
      await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
        name: 'RpcError',
        code: 'queue_full',
        reason: 'queue_full',
        rpcCode: -32010,
        message: 'job queue is full',
        retryable: true,
        retryAfterMs: 1500,
        details: { limit: 5 },
      });
    },
  );

  it('understands the problem documents that HTTP itself is refused with', async () => {
    const problem = {
      title: 'Misdirected Request',
      status: 421,
      detail: 'not this node',
      reason: 'misdirected',
    };
    const address = await serve((_request, response) =>
      answer(response, problem, 421, 'application/problem+json'),
    );
    await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
      code: 'misdirected',
      message: 'not this node',
      rpcCode: undefined,
    });
  });

  it.each([
    [200, 'hello'],
    [200, '{"jsonrpc":"2.0"}'],
    [200, 'null'],
    [200, '[]'],
    [404, '<html>'],
    [500, ''],
  ])('does not take a reply of status %i with %j for one of a node', async (status, body) => {
    const address = await serve((_request, response) => answer(response, body, status));
    await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
      code: 'bad_reply',
    });
  });

  it('says where nobody answers, and what to do', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
      code: 'unreachable',
      message: `no node answers at ${address}: connection refused`,
      retryable: true,
      details: { address, cause: 'ECONNREFUSED', next_step: expect.stringContaining('--address') as string },
    });
  });

  it('says so when what answers does not speak HTTP', async () => {
    const server = createTcpServer((socket) => socket.end('SSH-2.0-x\r\n')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
      code: 'unreachable',
      details: { next_step: expect.stringContaining('https://') as string },
    });
    server.close();
  });

  it.each([
    ['the head', (_response: ServerResponse) => undefined],
    ['the body', (response: ServerResponse) => void response.write('{')],
  ])('gives up when %s does not come in time', async (_what, begin) => {
    const address = await serve((_request, response) => begin(response));
    const call = new RpcClient({ address }).call('QueueService.Stats', {}, { timeoutMs: 50 });
    await expect(call).rejects.toMatchObject({ code: 'timeout', retryable: true, rpcCode: undefined });
  });

  it('ends at once when its signal is aborted, before and after the head', async () => {
    for (const isBegun of [false, true]) {
      const abort = new AbortController();
      const address = await serve((_request, response) => {
        if (isBegun) response.write('{');
        abort.abort();
      });
      const call = new RpcClient({ address }).call('QueueService.Stats', {}, { signal: abort.signal });
      await expect(call).rejects.toMatchObject({ code: 'cancelled' });
    }
  });

  it('fails when the reply is cut off', async () => {
    const address = await serve((_request, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('{', () => response.destroy());
    });
    await expect(new RpcClient({ address }).call('QueueService.Stats', {})).rejects.toMatchObject({
      code: 'unreachable',
    });
  });
});

describe('LineSplitter', () => {
  const split = (chunks: readonly Buffer[]): string[] => {
    const lines = new LineSplitter();
    const found = chunks.flatMap((chunk) => [...lines.add(chunk)]);
    return [...found, lines.end()];
  };

  it('knows every end of a line, wherever the stream is cut', () => {
    const text = 'a\nbü\r\nc\rd\r\r\n\n日本';
    const expected = ['a', 'bü', 'c', 'd', '', '', '日本'];
    const bytes = Buffer.from(text);
    expect(split([bytes])).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        expect(split(places.slice(1).map((end, index) => bytes.subarray(places[index], end)))).toEqual(
          expected,
        );
      }),
    );
  });

  it.each([
    ['one that is never ended', ['aaa', 'aaa']],
    ['one that is', ['aaaaaa\n']],
  ])('bounds a line, %s', (_what, chunks) => {
    const lines = new LineSplitter(5);
    expect(() => chunks.map((chunk) => [...lines.add(Buffer.from(chunk))])).toThrow('more than 5 characters');
    expect([...new LineSplitter(5).add(Buffer.from('aaaaa\nbbbbb'))]).toEqual(['aaaaa']);
  });
});

describe('SseParser', () => {
  const parse = (text: string): unknown[] => [...new SseParser().add(Buffer.from(text))];

  it('reads events, ids, comments and several lines of data', () => {
    const text = '\uFEFF: hello\nid: 1-2\nevent: job\ndata: {"a":1}\n\ndata\ndata:x\ndata:  y\n\n';
    expect(parse(text)).toEqual([
      { event: 'job', data: '{"a":1}', lastEventId: '1-2' },
      { event: 'message', data: '\nx\n y', lastEventId: '1-2' },
    ]);
  });

  it('does not make an event of a block without data, nor of one that is not ended', () => {
    expect(parse('event: job\n\n')).toEqual([]);
    expect(parse('data: x\n')).toEqual([]);
  });

  it('ignores an id with a NUL, a retry that is no number, and fields that it does not know', () => {
    const parser = new SseParser();
    expect([...parser.add(Buffer.from('id: a\0b\nretry: soon\nfoo: bar\ndata: x\n\n'))]).toEqual([
      { event: 'message', data: 'x', lastEventId: '' },
    ]);
    expect(parser.retryMs).toBeUndefined();
    expect([...parser.add(Buffer.from('retry: 250\n\n'))]).toEqual([]);
    expect(parser.retryMs).toBe(250);
    expect([...parser.add(Buffer.from('retry: 999999999\n\n'))]).toEqual([]);
    expect(parser.retryMs).toBe(60_000);
  });

  it('bounds the data of one event', () => {
    const parser = new SseParser(10);
    expect(() => [...parser.add(Buffer.from('data: 1234\ndata: 1234\ndata: 1\n'))]).toThrow(
      'more than 10 characters',
    );
  });
});

describe('streamLogs', () => {
  it('asks for what is wanted and hands out the lines', async () => {
    let url = '';
    const address = await serve((request, response) => {
      url = request.url ?? '';
      response.write('{"stream":"stdout","line":"a"}\n{"stream":"std');
      response.end('err","line":"b\\u2028"}\n');
    });
    const options = { follow: true, since: '5m', tail: 3, timestamps: true };
    const entries = await collect(new RpcClient({ address }).streamLogs('id/..', options));
    expect(entries).toEqual([
      { stream: 'stdout', line: 'a' },
      { stream: 'stderr', line: 'b\u2028' },
    ]);
    expect(url).toBe('/v1/jobs/id%2F../logs?follow=true&since=5m&tail=3&timestamps=true');
  });

  it('fails when the stream breaks, and when it is refused', async () => {
    const broken = await serve(
      (_request, response) => void response.write('{"stream":', () => response.destroy()),
    );
    await expect(collect(new RpcClient({ address: broken }).streamLogs('x'))).rejects.toMatchObject({
      code: 'unreachable',
    });
    const problem = { reason: 'not_found', detail: 'job not found', status: 404 };
    const refused = await serve((_request, response) => answer(response, problem, 404));
    await expect(collect(new RpcClient({ address: refused }).streamLogs('x'))).rejects.toMatchObject({
      code: 'not_found',
      message: 'job not found',
    });
  });

  it('ends, and closes the connection, when the signal is aborted or the reader stops', async () => {
    const closed = Promise.withResolvers<void>();
    const address = await serve((_request, response) => {
      response.write('{"stream":"stdout","line":"a"}\n');
      response.once('close', () => closed.resolve());
    });
    const abort = new AbortController();
    for await (const entry of new RpcClient({ address }).streamLogs('x', {
      follow: true,
      signal: abort.signal,
    })) {
      expect(entry.line).toBe('a');
      abort.abort();
    }
    await closed.promise;
    for await (const entry of new RpcClient({ address }).streamLogs('x', { follow: true })) {
      expect(entry.line).toBe('a');
      break;
    }
  });
});

describe('streamEvents', () => {
  const frame = (id: string): string => `id: ${id}\nevent: job\ndata: {"id":"${id}"}\n\n`;

  it('goes on after the last event when the connection breaks', async () => {
    const positions: unknown[] = [];
    const address = await serve((request, response) => {
      positions.push(request.headers['last-event-id']);
      response.write('retry: 1\n\n');
      const count = positions.length;
      if (count === 1)
        response.write(frame('1-1') + 'id: 1-2\nevent: job\ndata: {"cut', () => response.destroy());
      else response.end(frame(`1-${count}`));
    });
    const abort = new AbortController();
    const broken: string[] = [];
    const seen: EventMessage[] = [];
    const options = {
      follow: true,
      signal: abort.signal,
      onBroken: (error: RpcError) => broken.push(error.code),
    };
    for await (const message of new RpcClient({ address }).streamEvents(options)) {
      seen.push(message);
      if (seen.length === 4) abort.abort();
    }
    expect(seen).toEqual([
      { kind: 'reset', message: 'events from now on' },
      { kind: 'job', event: { id: '1-1' } },
      { kind: 'job', event: { id: '1-2' } },
      { kind: 'job', event: { id: '1-3' } },
    ]);
    expect(positions).toEqual([undefined, '1-1', '1-2']);
    expect(broken).toEqual(['unreachable']);
  });

  it('passes on that events are gone, and does not ask for them again', async () => {
    const positions: unknown[] = [];
    const address = await serve((request, response) => {
      positions.push(request.headers['last-event-id']);
      response.end('retry: 1\n\nevent: reset\ndata: {"message":"gone"}\n\n');
    });
    const abort = new AbortController();
    const seen: EventMessage[] = [];
    for await (const message of new RpcClient({ address }).streamEvents({
      lastEventId: '1-1',
      follow: true,
      signal: abort.signal,
    })) {
      seen.push(message);
      if (seen.length === 3) abort.abort();
    }
    expect(seen.map(({ kind }) => kind)).toEqual(['reset', 'reset', 'reset']);
    expect(positions).toEqual(['1-1', undefined]);
  });

  it('fails at once when there is nobody, and when it is refused', async () => {
    const nobody = new RpcClient({ address: '127.0.0.1:1' }).streamEvents({ follow: true });
    await expect(nobody.next()).rejects.toMatchObject({ code: 'unreachable' });
    const problem = { reason: 'unauthenticated', detail: 'a token is needed', status: 401 };
    const address = await serve((_request, response) => answer(response, problem, 401));
    const refused = new RpcClient({ address }).streamEvents({ follow: true });
    await expect(refused.next()).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('ends with the connection when nothing is to be followed', async () => {
    const address = await serve((_request, response) => void response.end(frame('1-1')));
    const messages = await collect(new RpcClient({ address }).streamEvents({ lastEventId: '1-0' }));
    expect(messages).toEqual([{ kind: 'job', event: { id: '1-1' } }]);
  });

  it('does not take what is no JSON for an event', async () => {
    const address = await serve((_request, response) => void response.end('event: job\ndata: {\n\n'));
    const stream = new RpcClient({ address }).streamEvents({ lastEventId: '1-0', follow: true });
    await expect(stream.next()).rejects.toMatchObject({ code: 'bad_reply' });
  });
});

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disconArguments, messageIn, SWAP } from '../../support/discon/arguments.ts';
import { DisconClient, type DisconClientOptions } from '../../support/discon/client.ts';
import { decodeFrame, encodeFrame, textOf, transferFrame, zeroEnded } from '../../support/discon/frames.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../../support/discon/image.ts';
import type { RawWebSocket } from '../../support/discon/raw-web-socket.ts';
import { ScriptedServer, type ServerScript } from '../../support/discon/scripted-server.ts';
import { ServerContainer } from '../../support/discon/server-container.ts';
import { OPCODES } from '../../support/discon/web-socket-frames.ts';
import { DockerRun } from '../../support/docker.ts';
import { freePort } from '../../support/free-port.ts';
import { PATIENCE } from '../../support/patience.ts';

let run: DockerRun;
let image: ControllerImage;
let server: ServerContainer;
let folder: string;
const open: (Disposable | AsyncDisposable)[] = [];

beforeAll(async () => {
  run = await DockerRun.start();
  image = await importControllerImage(run.docker);
  server = await ServerContainer.start(run, image.reference);
  folder = await mkdtemp(join(tmpdir(), 'cm-discon-client-'));
  await writeFile(join(folder, 'extra.dat'), 'EXTRA');
  await writeFile(join(folder, 'input.txt'), 'Line1 extra.dat\n');
});
afterEach(async () => {
  for (const each of open.splice(0).reverse()) {
    if (Symbol.dispose in each) each[Symbol.dispose]();
    else await each[Symbol.asyncDispose]();
  }
});
afterAll(async () => {
  await run[Symbol.asyncDispose]();
  await image[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function connect(options: Partial<DisconClientOptions> = {}): Promise<DisconClient> {
  const client = await DisconClient.connect({
    serverAddress: server.address,
    libraryPath: LIBRARY_PATHS.controller,
    proc: 'DISCON',
    ...options,
  });
  open.push(client);
  return client;
}

async function startScript(script: ServerScript = {}): Promise<ScriptedServer> {
  const scripted = await ScriptedServer.start(script);
  open.push(scripted);
  return scripted;
}

/** For `localhost`, trusted by nobody. */
function makeCertificate(directory: string): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  execFileSync(
    'openssl',
    // prettier-ignore
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  );
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** The answer to a file, as a server gives it. */
function transferReply(fail: number, text: string): Buffer {
  const msg = Buffer.alloc(256);
  msg.write(text);
  const { fileContent: _, ...frame } = transferFrame('', Buffer.from('x'));
  const none = Buffer.alloc(0);
  return encodeFrame({ ...frame, fail, msg, fileContent: none, serverFilePath: none });
}

describe('the client that simulators load, against a server', () => {
  it('makes 999 calls, one after the other, over one connection', async () => {
    const client = await connect();
    const given = disconArguments();
    for (let count = 1; count <= 999; count += 1) {
      given.swap[SWAP.input] = count;
      await client.call(given);
      expect([given.swap[SWAP.calls], given.swap[SWAP.sum], given.fail]).toEqual([
        count,
        (count * (count + 1)) / 2,
        0,
      ]);
    }
    expect(messageIn(given)).toBe('DISCON called 999 times');
    expect(client.attempts).toEqual([]);
  });

  it('sends its files at the first call, under the golden names, with the references replaced', async () => {
    const client = await connect({ additionalFiles: [join(folder, 'extra.dat')] });
    const inFile = join(folder, 'input.txt');
    const given = disconArguments(inFile);
    await client.call(given);
    expect(messageIn(given)).toBe('DISCON called 1 times');
    expect(client.inputName).toBe('input_30dc0c0e_input.txt');
    expect(given.swap[SWAP.inFileBytes]).toBe('input_30dc0c0e_input.txt\0'.length);
    const content = Buffer.from('Line1 input_9441f2f2_extra.dat\n');
    expect([given.swap[SWAP.fileBytes], given.swap[SWAP.fileSum]]).toEqual([
      content.length,
      content.reduce((sum, byte) => sum + byte, 0),
    ]);
    expect(textOf(given.inFile)).toBe(inFile);
    const files = ['input_30dc0c0e_input.txt', 'input_9441f2f2_extra.dat'];
    expect((await server.files()).filter((name) => name.startsWith('input_'))).toEqual(files);

    await client.call(given);
    expect(messageIn(given)).toBe('DISCON called 2 times');
    expect(given.swap[SWAP.fileBytes]).toBe(content.length);
    client.drop();
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
  });

  it('tells its caller when the server does not take a file', async () => {
    await writeFile(join(folder, 'a$b.dat'), 'x');
    const client = await connect({
      additionalFiles: [join(folder, 'a$b.dat')],
      transferPausesMs: [0, 0],
    });
    const given = disconArguments('input.txt', { msgBytes: 256 });
    await client.call(given);
    expect([given.fail, messageIn(given)]).toEqual([
      1,
      'Additional files transfer failed: failed to transfer file after 3 attempts: ' +
        'Security error: filename contains invalid pattern: $',
    ]);
  });

  it('ends its process when the connection is lost', async () => {
    const own = await ServerContainer.start(run, image.reference);
    const client = await connect({ serverAddress: own.address });
    const given = disconArguments();
    await client.call(given);
    await own.container.kill();
    await expect(client.call(given)).rejects.toMatchObject({ name: 'SimulatorEndedError' });
  });
});

describe('the client that simulators load, as a server sees it', () => {
  it('asks for path and proc and nothing else, and says nothing else of itself', async () => {
    const scripted = await startScript();
    await connect({ serverAddress: scripted.address, libraryPath: 'a b/(ü)~.so', proc: 'X&Y' });
    const [request] = scripted.requests;
    expect(request?.url).toBe('/ws?path=a+b%2F%28%C3%BC%29~.so&proc=X%26Y');
    const { 'sec-websocket-key': key, ...headers } = request?.headers ?? {};
    expect(headers).toEqual({
      host: scripted.address,
      'user-agent': 'Go-http-client/1.1',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      upgrade: 'websocket',
    });
    expect(Buffer.from(key ?? '', 'base64')).toHaveLength(16);
  });

  it.each(['http://127.0.0.1:PORT', 'http://127.0.0.1:PORT/', '127.0.0.1:PORT/?path=other'])(
    'may be told the address as %s',
    async (address) => {
      const scripted = await startScript();
      await connect({ serverAddress: address.replace('PORT', String(scripted.port)) });
      expect(scripted.requests[0]?.url).toBe(`/ws?path=%2Fcontroller%2Flibdiscon.so&proc=DISCON`);
    },
  );

  it('speaks TLS where the address says so, and only with whom it trusts', async () => {
    const tls = makeCertificate(folder);
    const scripted = await startScript({
      tls,
      onWebSocket: async (webSocket) => webSocket.sendBinary((await webSocket.receive()).data),
    });
    const serverAddress = `https://localhost:${scripted.port}`;
    await expect(connect({ serverAddress, connectPausesMs: [] })).rejects.toMatchObject({
      attempts: [{ error: { cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } } }],
    });
    const client = await connect({ serverAddress, ca: tls.cert });
    const given = disconArguments('none.txt');
    await client.call(given);
    expect(scripted.requests[0]?.headers.host).toBe(`localhost:${scripted.port}`);
    await expect(connect({ serverAddress: 'ftp://localhost' })).rejects.toThrow('does not speak ftp://');
  });

  it('masks what it sends: the golden frame of a file, then a call that names it', async () => {
    const received: { isMasked: boolean; payload: Buffer }[] = [];
    const scripted = await startScript({
      onWebSocket: async (webSocket) => {
        for (;;) {
          const { data, isMasked } = await webSocket.receive();
          received.push({ isMasked, payload: data });
          const frame = decodeFrame(data);
          const isCall = frame.fileContent.length === 0;
          await webSocket.sendBinary(isCall ? data : transferReply(0, 'File transferred successfully'));
        }
      },
    });
    const client = await connect({
      serverAddress: scripted.address,
      additionalFiles: [join(folder, 'extra.dat')],
    });
    await client.call(disconArguments(join(folder, 'input.txt')));
    expect(received.map(({ isMasked }) => isMasked)).toEqual([true, true, true]);
    expect(received[0]?.payload).toEqual(
      encodeFrame(transferFrame('input_9441f2f2_extra.dat', Buffer.from('EXTRA'))),
    );
    const call = decodeFrame(received[2]?.payload ?? Buffer.alloc(0));
    expect(call.inFile).toEqual(zeroEnded('input_30dc0c0e_input.txt'));
    expect([call.swap.length, call.outName.length, call.msg.length]).toEqual([164, 32, 32]);
  });

  it('tries five times to connect, with a pause before each try but the first', async () => {
    const startedMs = performance.now();
    const failed = connect({
      serverAddress: `127.0.0.1:${await freePort()}`,
      connectPausesMs: [10, 20, 40, 80],
    });
    await expect(failed).rejects.toMatchObject({
      name: 'SimulatorEndedError',
      attempts: Array.from({ length: 5 }, () => ({ status: undefined, body: undefined })),
    });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(149);
  });

  it('knows what a server said that refused it, be it in chunks or without a length', async () => {
    const answers = [
      'HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nshort, and no more',
      'HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
      'HTTP/1.1 503 Service Unavailable\r\n\r\nuntil the end',
    ];
    const scripted = await startScript({
      onRequest: (_request, socket) => {
        socket.end(answers[scripted.requests.length - 1] ?? '');
        return true;
      },
    });
    const failed = connect({ serverAddress: scripted.address, connectPausesMs: [0, 0] });
    await expect(failed).rejects.toMatchObject({
      attempts: [
        { status: 400, body: 'short' },
        { status: 502, body: 'abcde' },
        { status: 503, body: 'until the end' },
      ],
    });
  });

  it('does not take an answer for another key', async () => {
    const scripted = await startScript({
      onRequest: (_request, socket) => {
        const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
        socket.write([...lines, 'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=', '', ''].join('\r\n'));
        return true;
      },
    });
    const failed = connect({ serverAddress: scripted.address, connectPausesMs: [] });
    await expect(failed).rejects.toMatchObject({
      attempts: [{ error: { message: 'the answer accepts another key than was sent' } }],
    });
  });

  it('gives up on a file that is not answered in time, and on the connection with it', async () => {
    let count = 0;
    const scripted = await startScript({
      onWebSocket: async (webSocket) => {
        for (;;) {
          await webSocket.receive();
          count += 1;
        }
      },
    });
    const client = await connect({
      serverAddress: scripted.address,
      transferLimitMs: 100,
      transferPausesMs: [1, 1],
    });
    const given = disconArguments(join(folder, 'input.txt'), { msgBytes: 256 });
    await client.call(given);
    expect([given.fail, messageIn(given)]).toEqual([
      1,
      'File transfer failed: failed to transfer file after 3 attempts: i/o timeout',
    ]);
    await expect.poll(() => count, PATIENCE).toBe(3);
  });

  it('waits for the answer to a call for as long as it takes', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<() => Promise<void>>();
    const scripted = await startScript({
      onWebSocket: async (webSocket) => {
        const { data } = await webSocket.receive();
        onAsked(() => webSocket.sendBinary(data));
      },
    });
    const client = await connect({ serverAddress: scripted.address, transferLimitMs: 50 });
    let hasReturned = false;
    const call = client.call(disconArguments('none.txt')).then(() => (hasReturned = true));
    const answer = await asked;
    // Longer than anything else that it waits for.
    await delay(200);
    expect(hasReturned).toBe(false);
    await answer();
    await call;
  });

  it('answers a ping during a call, and not before', async () => {
    const { promise, resolve } = Promise.withResolvers<RawWebSocket>();
    const scripted = await startScript({ onWebSocket: (webSocket) => resolve(webSocket) });
    const client = await connect({ serverAddress: scripted.address });
    const far = await promise;
    await far.send({ opcode: OPCODES.ping, payload: Buffer.from('idle') });
    // Many times what an answer takes.
    await delay(100);
    expect(far.controlFrames).toEqual([]);
    const call = client.call(disconArguments('none.txt'));
    await expect
      .poll(() => far.controlFrames, PATIENCE)
      .toMatchObject([{ opcode: OPCODES.pong, payload: Buffer.from('idle') }]);
    await far.sendBinary((await far.receive()).data);
    await call;
  });

  it.each<[string, (client: DisconClient) => void, string]>([
    ['goes without a close frame', (client) => client.drop(), 'fin'],
    ['can be torn away', (client) => client.webSocket.abort(), 'reset'],
  ])('%s, over TLS too', async (_what, end, kind) => {
    const tls = makeCertificate(folder);
    for (const secure of [{}, { tls }]) {
      const { promise: ended, resolve: onEnded } = Promise.withResolvers<unknown>();
      const scripted = await startScript({
        ...secure,
        onWebSocket: async (webSocket) => onEnded(await webSocket.ended),
      });
      const scheme = 'tls' in secure ? 'https' : 'http';
      const serverAddress = `${scheme}://localhost:${scripted.port}`;
      end(await connect({ serverAddress, ca: tls.cert }));
      expect(await ended, scheme).toEqual({ kind, closeFrame: undefined });
    }
  });
});

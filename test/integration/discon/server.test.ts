import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disconArguments, messageIn, SWAP } from '../../support/discon/arguments.ts';
import { DisconClient } from '../../support/discon/client.ts';
import { decodeFrame, encodeFrame, textOf, transferFrame } from '../../support/discon/frames.ts';
import { type ControllerImage, importControllerImage, LIBRARY_PATHS } from '../../support/discon/image.ts';
import { RawWebSocket } from '../../support/discon/raw-web-socket.ts';
import { ServerContainer } from '../../support/discon/server-container.ts';
import { type UpgradeRefusedError, type UpgradeRequest } from '../../support/discon/upgrade.ts';
import { OPCODES } from '../../support/discon/web-socket-frames.ts';
import { DockerRun } from '../../support/docker.ts';
import { PATIENCE } from '../../support/patience.ts';

const MIB = 1024 ** 2;
const TARGET = `/ws?path=${LIBRARY_PATHS.controller}&proc=DISCON`;
const ECHO_TARGET = `/ws?path=${LIBRARY_PATHS.controller}&proc=ECHO`;

let run: DockerRun;
let image: ControllerImage;
let server: ServerContainer;
const open: Disposable[] = [];

beforeAll(async () => {
  run = await DockerRun.start();
  image = await importControllerImage(run.docker);
  server = await ServerContainer.start(run, image.reference);
});
afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]();
});
afterAll(async () => {
  await run[Symbol.asyncDispose]();
  await image[Symbol.asyncDispose]();
});

async function connect(target = TARGET, of = server): Promise<RawWebSocket> {
  const webSocket = await RawWebSocket.open({ host: of.host, port: of.port, target });
  open.push(webSocket);
  return webSocket;
}

async function connectClient(of = server, proc = 'DISCON'): Promise<DisconClient> {
  const { address: serverAddress } = of;
  const client = await DisconClient.connect({ serverAddress, libraryPath: LIBRARY_PATHS.controller, proc });
  open.push(client);
  return client;
}

function callBytes(change: (swap: Float32Array) => void = () => undefined): Buffer {
  const { swap, fail, inFile, outName, msg } = disconArguments();
  change(swap);
  const none = Buffer.alloc(0);
  return encodeFrame({ swap, fail, inFile, outName, msg, fileContent: none, serverFilePath: none });
}

async function messageOfNextCall(webSocket: RawWebSocket): Promise<string> {
  await webSocket.sendBinary(callBytes());
  return textOf(decodeFrame((await webSocket.receive()).data).msg);
}

describe('the server of controllers', () => {
  it('says what it is, and that it listens, as the one in use does', async () => {
    expect(await server.log()).toEqual([
      'Started discon-server v0.2.0',
      'discon-server: Server initialized with debug level 1',
      'Listening on port 8080',
    ]);
  });

  it('answers a call with as many bytes, and the controller has worked on them', async () => {
    const webSocket = await connect();
    await webSocket.sendBinary(
      callBytes((swap) => {
        swap[SWAP.input] = 2.5;
        swap[SWAP.fail] = -3;
      }),
    );
    const reply = await webSocket.receive();
    expect(reply.type).toBe('binary');
    expect(reply.data).toHaveLength(773);
    const { swap, fail, inFile, msg } = decodeFrame(reply.data);
    expect([swap[SWAP.calls], swap[SWAP.sum], fail]).toEqual([1, 2.5, -3]);
    expect(textOf(inFile)).toBe('input.txt');
    expect(textOf(msg)).toBe('DISCON called 1 times');
  });

  it('keeps the state of simultaneous connections apart, and begins anew for each', async () => {
    const [first, second] = [await connectClient(), await connectClient()];
    const [ofFirst, ofSecond] = [disconArguments(), disconArguments()];
    for (let count = 1; count <= 3; count += 1) {
      await first.call(ofFirst);
      expect(messageIn(ofFirst)).toBe(`DISCON called ${count} times`);
    }
    await second.call(ofSecond);
    expect(messageIn(ofSecond)).toBe('DISCON called 1 times');
    await first.call(ofFirst);
    expect(messageIn(ofFirst)).toBe('DISCON called 4 times');
    first.drop();
    expect(await messageOfNextCall(await connect())).toBe('DISCON called 1 times');
  });

  it('calls the function that is asked for', async () => {
    const client = await connectClient(server, 'CONTROL');
    const given = disconArguments();
    await client.call(given);
    expect(messageIn(given)).toBe('CONTROL called 1 times');
    const target = `/ws?path=${LIBRARY_PATHS.withoutSymbol}&proc=CONTROL`;
    expect(await messageOfNextCall(await connect(target))).toBe('CONTROL called 1 times');
  });

  it('takes the copy of a library away with its connection', async () => {
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
    const webSocket = await connect();
    expect(await server.files()).toContainEqual(expect.stringMatching(/^libdiscon\.so-\d{3}-\w+$/));
    webSocket.drop();
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
  });

  it('is understood by a client that is not of these tests', async () => {
    const other = new WebSocket(`ws://${server.address}${TARGET}`);
    other.binaryType = 'arraybuffer';
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    other.addEventListener('open', () => other.send(callBytes()));
    other.addEventListener('message', ({ data }) => resolve(Buffer.from(data as ArrayBuffer)));
    other.addEventListener('error', () => reject(new Error('the other client failed')));
    expect(textOf(decodeFrame(await promise).msg)).toBe('DISCON called 1 times');
    other.close();
  });
});

describe('an upgrade is refused before it is one', () => {
  it.each([
    ['a library that is not there', `/ws?path=%2Fnone.so&proc=DISCON`, "Controller not found at '/none.so'"],
    ['no path', '/ws', "Controller not found at ''"],
    ['a folder', '/ws?path=/controller&proc=DISCON', "Controller not found at '/controller'"],
    [
      'what is no library',
      `/ws?path=${LIBRARY_PATHS.notALibrary}&proc=DISCON`,
      'Error loading shared library',
    ],
    [
      'a function that is not there',
      `/ws?path=${LIBRARY_PATHS.withoutSymbol}&proc=DISCON`,
      'Error loading function from shared library',
    ],
    [
      'a library that cannot be copied',
      '/ws?path=/proc/self/mem&proc=DISCON',
      'Error duplicating controller: Input/output error',
    ],
    ['a query that cannot be read', '/ws?path=%zz', 'Error parsing url parameters: invalid URL escape "%zz"'],
    ['two paths, the first of which counts', '/ws?path=/a&path=/b', "Controller not found at '/a'"],
    ['half an escape', '/ws?path=a%2', 'Error parsing url parameters: invalid URL escape "%2"'],
  ])('%s', async (_what, target, text) => {
    await expect(connect(target)).rejects.toMatchObject({
      status: 500,
      body: `${text}\n`,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    });
  });

  const refused = async (request: Partial<UpgradeRequest>): Promise<unknown> => {
    const error: UpgradeRefusedError = await RawWebSocket.open({
      host: server.host,
      port: server.port,
      target: TARGET,
      ...request,
    }).then(
      () => Promise.reject(new Error('it was upgraded')),
      (thrown: UpgradeRefusedError) => thrown,
    );
    return [error.status, error.body];
  };

  it('another path than /ws', async () => {
    expect(await refused({ target: '/' })).toEqual([404, '404 page not found\n']);
  });

  it('what is no upgrade', async () => {
    const badRequest = [400, 'Bad Request\n'];
    expect(await refused({ headers: { Upgrade: undefined } })).toEqual(badRequest);
    expect(await refused({ headers: { Connection: 'close' } })).toEqual(badRequest);
    expect(await refused({ headers: { 'Sec-WebSocket-Version': '8' } })).toEqual(badRequest);
    expect(await refused({ headers: { 'Sec-WebSocket-Key': undefined } })).toEqual(badRequest);
    expect(await refused({ method: 'POST' })).toEqual([405, 'Method Not Allowed\n']);
  });

  it('a page of another site, and not one of the same', async () => {
    expect(await refused({ headers: { Origin: 'http://elsewhere.example' } })).toEqual([403, 'Forbidden\n']);
    const { host, port, address } = server;
    const headers = { Origin: `http://${address}` };
    using webSocket = await RawWebSocket.open({ host, port, target: TARGET, headers });
    expect(await messageOfNextCall(webSocket)).toBe('DISCON called 1 times');
  });

  it('and leaves no copy of the library', async () => {
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
    await expect(connect(`/ws?path=${LIBRARY_PATHS.withoutSymbol}&proc=DISCON`)).rejects.toThrow();
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
  });
});

describe('files sent to the server', () => {
  const GOLDEN = Buffer.from(
    '010000000100000001000000010000000500000019000000000000000000000000000045585452' +
      '41696e7075745f39343431663266325f65787472612e64617400',
    'hex',
  );

  it('are written, told of in 290 bytes, and gone with their connection', async () => {
    const webSocket = await connect();
    await webSocket.sendBinary(GOLDEN);
    const { data } = await webSocket.receive();
    expect(data).toHaveLength(290);
    const { swap, fail, inFile, outName, msg } = decodeFrame(data);
    expect([swap.length, fail, inFile.length, outName.length, msg.length]).toEqual([1, 0, 1, 1, 256]);
    expect(textOf(msg)).toBe('File transferred successfully: input_9441f2f2_extra.dat');
    expect(await server.files()).toContain('input_9441f2f2_extra.dat');
    webSocket.drop();
    await expect.poll(() => server.files(), PATIENCE).toEqual([]);
  });

  it('may be of several megabytes', async () => {
    const webSocket = await connect();
    await webSocket.sendBinary(encodeFrame(transferFrame('large.dat', Buffer.alloc(5 * MIB, 'x'))));
    const { fail } = decodeFrame((await webSocket.receive()).data);
    expect(fail).toBe(0);
    await webSocket.sendBinary(
      encodeFrame({ ...decodeFrame(callBytes()), inFile: Buffer.from('large.dat\0') }),
    );
    const { swap } = decodeFrame((await webSocket.receive()).data);
    expect(swap[SWAP.fileBytes]).toBe(5 * MIB);
  });

  const PATTERN = 'Security error: filename contains invalid pattern: ';
  const SEPARATORS = 'Security error: filename must not contain path separators';
  it.each([
    ['../x', `${PATTERN}../`],
    ['x/..', `${PATTERN}/..`],
    ['~x', `${PATTERN}~`],
    ['x$y', `${PATTERN}$`],
    ['x|y', `${PATTERN}|`],
    ['x;y', `${PATTERN};`],
    ['x&y', `${PATTERN}&`],
    ['x\\y', `${PATTERN}\\`],
    ['/tmp/x', SEPARATORS],
    ['sub/x', SEPARATORS],
    ['', SEPARATORS],
    ['.', 'Failed to create file: open .: is a directory'],
    ['..', 'Failed to create file: open ..: is a directory'],
  ])('are not written as %j', async (name, text) => {
    const webSocket = await connect();
    await webSocket.sendBinary(encodeFrame(transferFrame(name, Buffer.from('x'))));
    const { data } = await webSocket.receive();
    expect(data).toHaveLength(290);
    const { fail, msg } = decodeFrame(data);
    expect([fail, textOf(msg)]).toEqual([1, text]);
    expect(await messageOfNextCall(webSocket)).toBe('DISCON called 1 times');
  });
});

describe('what comes over a connection', () => {
  it('may come in pieces, with a ping between them', async () => {
    const webSocket = await connect();
    const bytes = callBytes();
    await webSocket.send({ opcode: OPCODES.binary, payload: bytes.subarray(0, 100), isFinal: false });
    await webSocket.send({ opcode: OPCODES.ping, payload: Buffer.from('are you there') });
    await webSocket.send({ opcode: OPCODES.continuation, payload: bytes.subarray(100) });
    expect(textOf(decodeFrame((await webSocket.receive()).data).msg)).toBe('DISCON called 1 times');
    expect(webSocket.controlFrames).toMatchObject([
      { opcode: OPCODES.pong, payload: Buffer.from('are you there') },
    ]);
  });

  it('is not answered when it is text', async () => {
    const webSocket = await connect();
    await webSocket.sendText('hello');
    expect(await messageOfNextCall(webSocket)).toBe('DISCON called 1 times');
  });

  it.each<[string, (webSocket: RawWebSocket) => Promise<void>]>([
    ['is shorter than a header', (webSocket) => webSocket.sendBinary(Buffer.alloc(23))],
    ['has no swap array and no texts', (webSocket) => webSocket.sendBinary(Buffer.alloc(28))],
    ['claims more than it has', (webSocket) => webSocket.sendBinary(Buffer.alloc(100, 0xff))],
    ['is cut short', (webSocket) => webSocket.sendBinary(callBytes().subarray(0, -1))],
    [
      'is not masked',
      (webSocket) => webSocket.send({ opcode: OPCODES.binary, payload: callBytes(), isMasked: false }),
    ],
    [
      'has a reserved bit',
      (webSocket) => webSocket.send({ opcode: OPCODES.binary, payload: callBytes(), reserved: 4 }),
    ],
    ['goes on with nothing', (webSocket) => webSocket.send({ opcode: 0, payload: callBytes() })],
    ['is a close frame', (webSocket) => webSocket.sendClose(1000)],
    [
      'is a head that promises more than 16 MiB',
      (webSocket) => webSocket.sendBytes(Buffer.from('82ff000000000100000100000000', 'hex')),
    ],
  ])('drops it without a word when it %s, and nothing else', async (_what, send) => {
    const other = await connect();
    const webSocket = await connect();
    await send(webSocket);
    expect((await webSocket.ended).closeFrame).toBeUndefined();
    expect(await messageOfNextCall(other)).toBe('DISCON called 1 times');
  });

  it('may be as large as 16 MiB', async () => {
    const webSocket = await connect();
    const bytes = Buffer.alloc(16 * MIB);
    callBytes().copy(bytes);
    await webSocket.sendBinary(bytes);
    expect((await webSocket.receive()).data).toHaveLength(773);
  });

  it('comes back as it was when an echo is asked for', async () => {
    const webSocket = await connect(ECHO_TARGET);
    for (const length of [0, 125, 126, 65_535, 65_536, 5 * MIB]) {
      const payload = Buffer.alloc(length, `${length}`);
      await webSocket.sendBinary(payload);
      const { type, data } = await webSocket.receive();
      expect([type, data.equals(payload)]).toEqual(['binary', true]);
    }
    await webSocket.sendText('as text');
    expect(await webSocket.receive()).toMatchObject({ type: 'text', data: Buffer.from('as text') });
  });
});

describe('a controller that misbehaves', () => {
  it('can take its time', async () => {
    const webSocket = await connect();
    const askedMs = performance.now();
    await webSocket.sendBinary(callBytes((swap) => (swap[SWAP.sleepMs] = 300)));
    await webSocket.receive();
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(299);
  });

  it('keeps nobody else waiting', async () => {
    const own = await ServerContainer.start(run, image.reference);
    const [slow, quick] = [await connect(TARGET, own), await connect(TARGET, own)];
    let hasAnswered = false;
    slow.receive().then(
      () => (hasAnswered = true),
      () => undefined,
    );
    await slow.sendBinary(callBytes((swap) => (swap[SWAP.sleepMs] = 120_000)));
    expect(await messageOfNextCall(quick)).toBe('DISCON called 1 times');
    expect(await messageOfNextCall(await connect(TARGET, own))).toBe('DISCON called 1 times');
    expect(hasAnswered).toBe(false);
  });

  it('ends the whole server when it crashes', async () => {
    const own = await ServerContainer.start(run, image.reference);
    const [crashing, other] = [await connect(TARGET, own), await connect(TARGET, own)];
    await crashing.sendBinary(callBytes((swap) => (swap[SWAP.crash] = 1)));
    expect(await own.exitCode()).toBe(139);
    expect((await crashing.ended).closeFrame).toBeUndefined();
    await other.ended;
  });

  it('ends the whole server when it crashes while it is loaded', async () => {
    const own = await ServerContainer.start(run, image.reference);
    await expect(connect(`/ws?path=${LIBRARY_PATHS.crashesAtLoad}&proc=DISCON`, own)).rejects.toMatchObject({
      name: 'HandshakeError',
    });
    expect(await own.exitCode()).toBe(139);
  });
});

describe('a connection that sends nothing', () => {
  it('is dropped after 5 s without debugging', async () => {
    const own = await ServerContainer.start(run, image.reference, { command: ['--port=8080', '--debug=0'] });
    expect(await own.log()).toEqual(['Started discon-server v0.2.0']);
    const webSocket = await connect(TARGET, own);
    await messageOfNextCall(webSocket);
    const sinceMs = performance.now();
    expect(await webSocket.ended).toEqual({ kind: 'fin', closeFrame: undefined });
    expect(performance.now() - sinceMs).toBeGreaterThanOrEqual(4_900);
  });
});

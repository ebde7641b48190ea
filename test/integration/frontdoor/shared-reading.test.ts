import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { afterWriteOf, withSharedReading } from '../../../src/frontdoor/shared-reading.ts';

/** Both ends of a connection. */
async function pair(): Promise<{ client: Socket; accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  const accepting = once(server, 'connection') as Promise<[Socket]>;
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = await accepting;
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  for (const socket of [client, accepted]) socket.on('error', () => undefined);
  return { client, accepted };
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

const BYTES = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => (index * 7) % 251));

test('a socket that was accepted is read by another one, byte for byte, in both directions', async () => {
  const { client, accepted } = await pair();
  const taken = withSharedReading(accepted);
  expect(taken).not.toBe(accepted);
  const [here, there] = [readAll(taken), readAll(client)];
  client.end(BYTES);
  taken.end(BYTES);
  expect((await here).equals(BYTES)).toBe(true);
  expect((await there).equals(BYTES)).toBe(true);
});

test('both are one: each ends with the other', async () => {
  const first = await pair();
  const taken = withSharedReading(first.accepted);
  const closed = once(first.accepted, 'close');
  taken.destroy();
  await closed;
  const second = await pair();
  const other = withSharedReading(second.accepted);
  const gone = once(other, 'close');
  second.accepted.destroy();
  await gone;
});

test('one that has something on its way, or is over, stays as it is', async () => {
  const { client, accepted } = await pair();
  accepted.pause();
  client.write('early');
  await once(accepted, 'readable');
  expect(withSharedReading(accepted)).toBe(accepted);
  accepted.destroy();
  expect(withSharedReading(accepted)).toBe(accepted);
});

test('what was read stays as it is when others read, until it is given back', async () => {
  const { client, accepted } = await pair();
  const taken = withSharedReading(accepted);
  const chunks: Buffer[] = [];
  taken.on('data', (chunk: Buffer) => chunks.push(chunk));
  client.end(BYTES);
  await once(taken, 'end');
  expect(Buffer.concat(chunks).equals(BYTES)).toBe(true);
  const long = chunks.find((chunk) => chunk.length > 8 * 1024);
  expect(afterWriteOf(long ?? Buffer.alloc(0))).toBeTypeOf('function');
  expect(afterWriteOf(Buffer.from('short'))).toBeUndefined();
  expect(afterWriteOf(Buffer.alloc(8 * 1024))).toBeUndefined();
});

import { once } from 'node:events';
import type { Duplex } from 'node:stream';

/** For what is on its way when one side has gone, and for the other to go as well, ms: then both are closed, whatever is left. */
const LINGER_MS = 5_000;

/**
 * Passes bytes between two sockets, both ways, until one of them goes: the other gets what was on its way to it and is closed, since
 * a WebSocket is no use in one direction. No frame is looked at. A side that does not read keeps the other from being read, so that
 * nothing piles up. Resolves when both are closed.
 */
export async function splice(one: Duplex, other: Duplex): Promise<void> {
  const closed = Promise.all([whenClosed(one), whenClosed(other)]);
  let timer: NodeJS.Timeout | undefined;
  const finish = (): void => {
    one.end();
    other.end();
    timer ??= setTimeout(() => {
      one.destroy();
      other.destroy();
    }, LINGER_MS);
  };
  pass(one, other, finish);
  pass(other, one, finish);
  if (one.destroyed || other.destroyed) finish();
  await closed;
  clearTimeout(timer);
}

function pass(from: Duplex, to: Duplex, onGone: () => void): void {
  from.on('data', (chunk: Buffer) => {
    if (to.writable && !to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.once('end', onGone);
  from.once('close', onGone);
  from.resume();
}

async function whenClosed(socket: Duplex): Promise<void> {
  // What it failed with does not matter any more; without a listener it would end the process.
  socket.on('error', () => undefined);
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
}

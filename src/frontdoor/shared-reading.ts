import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';

/** What one read takes at most, bytes: a message of 64 KiB and its header in one. */
const READ_BYTES = 128 * 1024;
/** From here on a copy is made into a buffer that was used before; a shorter one comes out of Node's own pool, bytes. */
const LONG_BYTES = 4 * 1024;
/** Buffers that are kept for the next long copy. Few are in use at once: most writes are done when they return. */
const MAX_SPARE = 8;

/**
 * All sockets read into this one. By itself Node takes a new 64 KiB for each read and gives most of it back, which costs more than the
 * copy that is made here of what has come, and leaves nothing in the processor's caches.
 */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
const spare: Buffer[] = [];

/** How a socket reads into the shared buffer. What has come is told as data, as ever. `socketOf` is asked when something has. */
export function sharedReading(socketOf: () => Socket): OnReadOpts {
  return {
    buffer: readBuffer,
    callback: (bytes) => {
      socketOf().emit('data', copyOf(bytes));
      return true;
    },
  };
}

/** Undefined for a chunk that nobody waits for; otherwise what is to be called once it was written. Not calling it does no harm. */
export function afterWriteOf(chunk: Buffer): (() => void) | undefined {
  if (chunk.length < LONG_BYTES || chunk.buffer.byteLength !== READ_BYTES) return undefined;
  return () => {
    if (spare.length < MAX_SPARE) spare.push(Buffer.from(chunk.buffer));
  };
}

function copyOf(bytes: number): Buffer {
  if (bytes < LONG_BYTES) {
    const short = Buffer.allocUnsafe(bytes);
    readBuffer.copy(short, 0, 0, bytes);
    return short;
  }
  const copy = spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
  readBuffer.copy(copy, 0, 0, bytes);
  return copy.subarray(0, bytes);
}

/** What Node does not document: the connection itself, which another socket can take over. */
interface WithHandle {
  _handle?: (NonNullable<SocketConstructorOpts['handle']> & { readonly useUserBuffer?: unknown }) | null;
}

/**
 * A socket that was accepted, as one that reads into the shared buffer; only who makes a socket can say how it reads. Gives the same one
 * where that cannot be: it speaks TLS, something is on its way in or out, or Node has changed. Both end together.
 */
export function withSharedReading(accepted: Socket): Socket {
  const inner = accepted as Socket & WithHandle;
  const handle = inner._handle;
  const isBusy = accepted.readableLength > 0 || accepted.writableLength > 0;
  const isOpen = accepted.readable && accepted.writable && !accepted.readableEnded;
  if (handle?.useUserBuffer === undefined || isBusy || !isOpen || 'encrypted' in accepted) return accepted;
  const options = { handle, allowHalfOpen: true, manualStart: true, onread: sharedReading(() => taken) };
  const taken: Socket = new Socket(options);
  inner._handle = null;
  taken.once('close', () => accepted.destroy());
  accepted.once('close', () => taken.destroy());
  return taken;
}

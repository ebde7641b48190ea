import { fstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** The kernel's tables of the connections of this network, where it shows them: on Linux. */
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** A connection with something to be sent or acknowledged: how much, in hexadecimal, and its inode. */
const WAITING = /^ *\d+: \S+ \S+ \S+ (?!0{8})([0-9A-F]{8}):\S+ \S+ \S+ +\d+ +\d+ (\d+) /gm;

/** What Node does not document: the descriptor below a socket. */
interface WithDescriptor {
  _handle?: { readonly fd?: number } | null;
}

/** What the kernel has been given and the other side has not acknowledged, of each connection where that is anything. */
export class SendQueues {
  readonly #bytesByInode: ReadonlyMap<number, number>;

  private constructor(bytesByInode: ReadonlyMap<number, number>) {
    this.#bytesByInode = bytesByInode;
  }

  /** As it is just now. Where the kernel shows nothing of the kind nothing waits; fails when it cannot be asked. */
  static async read(): Promise<SendQueues> {
    const tables = await Promise.all(TABLES.map(readTable));
    const rows = tables.flatMap((table) => [...table.matchAll(WAITING)]);
    return new SendQueues(new Map(rows.map(([, bytes = '', inode]) => [Number(inode), parseInt(bytes, 16)])));
  }

  bytesOf(socket: Socket): number {
    const { fd = -1 } = (socket as WithDescriptor)._handle ?? {};
    return fd < 0 || this.#bytesByInode.size === 0 ? 0 : (this.#bytesByInode.get(fstatSync(fd).ino) ?? 0);
  }
}

async function readTable(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

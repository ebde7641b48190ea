import { readFileSync, renameSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { publicKeyOf } from './identity.ts';
import {
  BookPages,
  MAX_ADDRESS_LENGTH,
  MAX_BOOK_ADDRESSES,
  type BookEntry,
  type PeerBook,
} from './peer-book.ts';

/** Changes within so long are written together. */
const COALESCE_MS = 1_000;
const FILE_MODE = 0o600;
/** Larger than the largest that is written: 1,024 peers of 8 addresses each. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const VERSION = 1;

export interface FilePeerBookDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * A `PeerBook` in a JSON file of the data directory. A file that cannot be read is no reason not to start: it is moved aside,
 * and the book begun anew. Dispose it to have everything written.
 */
export class FilePeerBook implements PeerBook, AsyncDisposable {
  readonly #file: string;
  readonly #deps: FilePeerBookDependencies;
  readonly #pages: BookPages;
  #nextWrite: Disposable | undefined;
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(file: string, deps: FilePeerBookDependencies, entries: readonly BookEntry[]) {
    this.#file = file;
    this.#deps = deps;
    this.#pages = new BookPages(entries);
  }

  static open(file: string, deps: FilePeerBookDependencies): FilePeerBook {
    return new FilePeerBook(file, deps, readBook(file, deps.logger));
  }

  entries(): readonly BookEntry[] {
    return this.#pages.entries();
  }

  saw(peer: NodeId, addresses: readonly string[]): void {
    this.#pages.saw(peer, addresses, this.#deps.clock.wallMs());
    this.#scheduleWrite();
  }

  forget(peer: NodeId): boolean {
    const wasKnown = this.#pages.forget(peer);
    if (wasKnown) this.#scheduleWrite();
    return wasKnown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#nextWrite !== undefined) this.#write();
    await this.#lastWrite;
  }

  #scheduleWrite(): void {
    this.#nextWrite ??= this.#deps.clock.after(COALESCE_MS, () => this.#write());
  }

  #write(): void {
    this.#nextWrite?.[Symbol.dispose]();
    this.#nextWrite = undefined;
    this.#lastWrite = this.#lastWrite
      .then(() => writeWhole(this.#file, encodeBook(this.#pages.entries())))
      .catch((err: unknown) =>
        this.#deps.logger.warn({ err, file: this.#file }, 'peers could not be written down'),
      );
  }
}

function encodeBook(entries: readonly BookEntry[]): string {
  return `${JSON.stringify({ version: VERSION, peers: entries }, null, 1)}\n`;
}

/** Whoever reads the file sees it as it was or as it is, whenever the power is cut. */
async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.draft`;
  await using handle = await open(draft, 'w', FILE_MODE);
  await handle.writeFile(text);
  await handle.sync();
  await rename(draft, file);
  await using directory = await open(dirname(file), 'r');
  await directory.sync();
}

function readBook(file: string, logger: Logger): BookEntry[] {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > MAX_FILE_BYTES) throw new Error(`${file} is longer than any that is written`);
    return decodeBook(text);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return [];
    logger.warn(
      { err, file, movedTo: `${file}.broken` },
      'the list of known peers cannot be read; a new one is begun',
    );
    moveAside(file, logger);
    return [];
  }
}

function moveAside(file: string, logger: Logger): void {
  try {
    renameSync(file, `${file}.broken`);
  } catch (err) {
    logger.warn({ err, file }, 'the broken list of known peers cannot be moved aside');
  }
}

/** A newer version is as good as broken: it is no more than a list of whom to look for. */
function decodeBook(text: string): BookEntry[] {
  const { version, peers } = JSON.parse(text) as { version?: unknown; peers?: unknown };
  if (version !== VERSION || !Array.isArray(peers)) throw new Error('not a list of peers of this version');
  return peers.map(entryOf);
}

function entryOf(value: unknown): BookEntry {
  const { peer, addresses, lastSeenMs } = value as Record<string, unknown>;
  if (typeof peer !== 'string' || publicKeyOf(peer) === undefined) throw new Error('an entry without a peer');
  if (!Array.isArray(addresses) || addresses.length > MAX_BOOK_ADDRESSES || !addresses.every(isAddress))
    throw new Error('an entry without addresses');
  if (typeof lastSeenMs !== 'number') throw new Error('an entry without a time');
  return { peer: peer as NodeId, addresses, lastSeenMs };
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_ADDRESS_LENGTH;
}

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ControllerRecord } from '../controller.ts';
import { CatalogError } from '../errors.ts';
import { type CatalogDocument, decodeDocument, DocumentError, encodeDocument } from './document.ts';
import { readBounded } from './read-file.ts';
import { replaceFile } from './replace-file.ts';

/** Hand edits that may fall into one change of ours, one after the other. */
const MAX_TRIES = 5;

const NOTHING: CatalogDocument = { text: '', records: [], controllers: [], warnings: [] };

/** Who changed what the file holds: somebody by hand, or the node. */
export type ChangeCause = 'edit' | 'own';

type Records = readonly ControllerRecord[];

/** Other records, and what is to be told of them. */
export interface Edited<T> {
  readonly records: Records;
  readonly result: T;
}

/** Why the file as it is does not count. */
export interface CatalogProblem {
  readonly kind: 'broken' | 'gone';
  /** For people, with the place in the file where there is one. */
  readonly message: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
}

/**
 * The database file: people edit it with their editors while the node changes it by itself. Every change of ours is made to
 * what the file holds at that moment. While it holds something that cannot be read, the last good state stays in force, and
 * changes of ours are refused: they would wipe out what somebody is about to mend. One that is gone is written anew.
 */
export class CatalogFile {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #onChange: (cause: ChangeCause) => void;
  #current = NOTHING;
  #problem: CatalogProblem | undefined;
  /** What `#current` and `#problem` were made of; undefined for a file that was gone or could not be read. */
  #seenText: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    file: string,
    deps: { readonly logger: Logger; readonly onChange: (cause: ChangeCause) => void },
  ) {
    this.#file = file;
    this.#logger = deps.logger;
    this.#onChange = deps.onChange;
  }

  get current(): CatalogDocument {
    return this.#current;
  }

  get problem(): CatalogProblem | undefined {
    return this.#problem;
  }

  /** Makes the file unless it is there, and reads it. Fails only when it cannot be made. */
  async open(): Promise<void> {
    await this.#inTurn(async () => {
      if (await this.#isAbsent()) {
        await this.#guarded('be made', async () => {
          await mkdir(dirname(this.#file), { recursive: true });
          await this.#write(encodeDocument([]));
        });
      }
      await this.#read();
    });
  }

  /** Looks whether somebody edited it. Never fails: what is wrong is logged, and stays to be asked for. */
  async reload(): Promise<void> {
    await this.#inTurn(() => this.#read());
  }

  /** Resolves when nothing is read or written any more. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** Gives the file other records, made of those that it holds then; the same ones change nothing. */
  async change(edit: (records: Records) => Records): Promise<void> {
    await this.edit((records) => ({ records: edit(records), result: undefined }));
  }

  /** The same, of which something is to be told. An edit may be made more than once: the last one counts. */
  async edit<T>(edit: (records: Records) => Edited<T>): Promise<T> {
    return this.#inTurn(async () => {
      for (let tries = 1; tries <= MAX_TRIES; tries += 1) {
        await this.#read();
        if (this.#problem?.kind === 'broken') throw this.#refusal(this.#problem);
        const { records, result } = edit(this.#current.records);
        if (records === this.#current.records && this.#problem === undefined) return result;
        const isWritten = await this.#guarded('be written', () => this.#write(encodeDocument(records)));
        if (isWritten) return result;
      }
      throw new CatalogError('catalog_unwritable', `${this.#file} is being edited all the time`, {
        retryable: true,
      });
    });
  }

  /** A new node has none yet, which is nothing to be told. */
  async #isAbsent(): Promise<boolean> {
    return readBounded(this.#file).then(
      (text) => text === undefined,
      () => false,
    );
  }

  async #read(): Promise<void> {
    let text: string | undefined;
    try {
      text = await readBounded(this.#file);
    } catch (error) {
      return this.#keepLast('broken', new DocumentError(`it cannot be read: ${messageOf(error)}`));
    }
    if (text === undefined) return this.#keepLast('gone', new DocumentError('it is not there'));
    if (text === this.#seenText) return;
    let document: CatalogDocument;
    try {
      document = decodeDocument(text);
    } catch (error) {
      this.#keepLast('broken', error instanceof DocumentError ? error : new DocumentError(messageOf(error)));
      this.#seenText = text;
      return;
    }
    this.#accept(document, 'edit');
  }

  #accept(document: CatalogDocument, cause: ChangeCause): void {
    const wasBroken = this.#problem !== undefined;
    this.#problem = undefined;
    this.#current = document;
    this.#seenText = document.text;
    if (wasBroken) this.#logger.info({ file: this.#file }, 'the controllers can be read');
    for (const warning of document.warnings) {
      this.#logger.warn({ file: this.#file, warning }, 'a controller does not count');
    }
    this.#onChange(cause);
  }

  #keepLast(kind: CatalogProblem['kind'], { message, place }: DocumentError): void {
    const where = place === undefined ? '' : `, line ${place.line}, column ${place.column}`;
    const whole = `${this.#file}${where}: ${message}`;
    const isNew = this.#problem?.message !== whole;
    this.#problem = { kind, message: whole, line: place?.line, column: place?.column };
    this.#seenText = undefined;
    if (isNew) {
      this.#logger.warn(
        { file: this.#file, problem: whole, controllers: this.#current.controllers.length },
        'the controllers cannot be read; those of before stay in force',
      );
    }
  }

  /** False when somebody edited the file in the meantime. What is written is what will be in force. */
  async #write(text: string): Promise<boolean> {
    const document = decodeDocument(text);
    const before = this.#seenText;
    const isReplaced = await replaceFile(
      this.#file,
      text,
      async () => (await readBounded(this.#file)) === before,
    );
    if (isReplaced) this.#accept(document, 'own');
    return isReplaced;
  }

  async #guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DocumentError) {
        throw new CatalogError('invalid_entry', error.message, { cause: error });
      }
      throw new CatalogError(
        'catalog_unwritable',
        `${this.#file} cannot ${what}: ${messageOf(error)}${remedyFor(error)}`,
        { cause: error, retryable: true },
      );
    }
  }

  #refusal({ message, line, column }: CatalogProblem): CatalogError {
    return new CatalogError(
      'catalog_broken',
      `nothing is written while the file cannot be read; mend it: ${message}`,
      { details: { file: this.#file, ...(line === undefined ? {} : { line, column }) } },
    );
  }

  /** One after the other: whoever changes the file must know what it holds. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function remedyFor(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EBUSY' ? '; mount its directory into the container, not the file alone' : '';
}

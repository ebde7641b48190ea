import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../../src/kernel/errors.ts';
import { type DisconArguments, SWAP } from './arguments.ts';
import { decodeFrame, type DisconFrame, encodeFrame, textOf, transferFrame, zeroEnded } from './frames.ts';
import { RawWebSocket } from './raw-web-socket.ts';
import { replaceReferences, serverFileName } from './server-file-name.ts';
import { UpgradeRefusedError, type UpgradeRequest } from './upgrade.ts';

/** Between two attempts to connect, ms; one attempt more than pauses. */
const CONNECT_PAUSES_MS = [1_000, 2_000, 4_000, 8_000];
const HANDSHAKE_LIMIT_MS = 45_000;
/** The answer to a file must come within it, ms. An answer to a call may take for ever. */
const TRANSFER_LIMIT_MS = 5_000;
const TRANSFER_PAUSES_MS = [400, 800];
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

export interface DisconClientOptions {
  /** `host:port`, `host`, or `http://` or `https://` before either. */
  readonly serverAddress: string;
  /** Whom to trust besides those whom this machine does, with `https://`. */
  readonly ca?: Buffer;
  readonly libraryPath: string;
  readonly proc: string;
  /** Local files to be sent before the first call; an input file may name them. */
  readonly additionalFiles?: readonly string[];
  readonly connectPausesMs?: readonly number[];
  readonly handshakeLimitMs?: number;
  readonly transferLimitMs?: number;
  readonly transferPausesMs?: readonly number[];
}

/** One try to connect that failed. */
export interface FailedAttempt {
  readonly error: Error;
  /** Of an answer of HTTP that was no upgrade. */
  readonly status: number | undefined;
  readonly body: string | undefined;
}

/** What ends the process that a client is loaded into: a simulator dies of it. */
export class SimulatorEndedError extends Error {
  override readonly name = 'SimulatorEndedError';
  readonly attempts: readonly FailedAttempt[];

  constructor(message: string, attempts: readonly FailedAttempt[], cause?: unknown) {
    super(message, { cause });
    this.attempts = attempts;
  }
}

/**
 * A client as simulators load it: it connects when it is loaded, sends its files at the first call, then sends one
 * message for each call and waits for its answer. Between calls it reads nothing, so that a ping waits for the next
 * call; it never says that it goes. Dispose to drop its connection, as the end of its process does.
 */
export class DisconClient implements Disposable {
  /** What failed before it was connected. */
  readonly attempts: readonly FailedAttempt[];
  readonly #options: DisconClientOptions;
  readonly #webSocket: RawWebSocket;
  /** What additional files are called on the server, by the names they have here. */
  readonly #serverNames = new Map<string, string>();
  #inputName: string | undefined;
  #hasSentFiles = false;
  #isReadDead = false;

  private constructor(
    options: DisconClientOptions,
    webSocket: RawWebSocket,
    attempts: readonly FailedAttempt[],
  ) {
    this.#options = options;
    this.#webSocket = webSocket;
    this.attempts = attempts;
    webSocket.stopReading();
  }

  /** Fails with a `SimulatorEndedError` that holds every attempt. */
  static async connect(options: DisconClientOptions): Promise<DisconClient> {
    const { connectPausesMs = CONNECT_PAUSES_MS, handshakeLimitMs = HANDSHAKE_LIMIT_MS } = options;
    const request = { ...requestOf(options), limitMs: handshakeLimitMs };
    const attempts: FailedAttempt[] = [];
    for (const pauseMs of [...connectPausesMs, undefined]) {
      try {
        return new DisconClient(options, await RawWebSocket.open(request), attempts);
      } catch (error) {
        attempts.push(failedAttempt(error as Error));
        if (pauseMs !== undefined) await delay(pauseMs);
      }
    }
    const { serverAddress } = options;
    const message = `failed to connect to discon-server at ${serverAddress} after ${attempts.length} attempts`;
    throw new SimulatorEndedError(message, attempts, attempts.at(-1)?.error);
  }

  /** The connection below, to break or to watch. */
  get webSocket(): RawWebSocket {
    return this.#webSocket;
  }

  /** What the input file is called on the server, once it was sent. */
  get inputName(): string | undefined {
    return this.#inputName;
  }

  /**
   * One step of the simulator: `given` is changed in place, as memory that is shared with the controller. A file that
   * cannot be sent is told in it, with `fail` 1; a lost connection is a `SimulatorEndedError`.
   */
  async call(given: DisconArguments): Promise<void> {
    const failure = await this.#sendFiles(given);
    if (failure !== undefined) {
      given.fail = 1;
      given.msg.fill(0).write(failure.slice(0, given.msg.length - 1));
      return;
    }
    const reply = decodeFrame(await this.#exchange(encodeFrame(this.#callFrame(given))));
    given.swap.set(reply.swap.subarray(0, given.swap.length));
    given.fail = reply.fail;
    // The name of its file stays the caller's own.
    if (this.#inputName === undefined) reply.inFile.copy(given.inFile);
    reply.outName.copy(given.outName);
    reply.msg.copy(given.msg);
  }

  drop(): void {
    this.#webSocket.drop();
  }

  [Symbol.dispose](): void {
    this.drop();
  }

  /** Each text is as long as the swap array says. */
  #callFrame({ swap, fail, inFile, outName, msg }: DisconArguments): DisconFrame {
    return {
      swap: swap.subarray(0, swap[SWAP.length]),
      fail,
      inFile:
        this.#inputName === undefined
          ? inFile.subarray(0, swap[SWAP.inFileBytes])
          : zeroEnded(this.#inputName),
      outName: outName.subarray(0, swap[SWAP.outNameBytes]),
      msg: msg.subarray(0, swap[SWAP.msgBytes]),
      fileContent: Buffer.alloc(0),
      serverFilePath: Buffer.alloc(0),
    };
  }

  /** What to tell the caller when a file could not be sent. */
  async #sendFiles(given: DisconArguments): Promise<string | undefined> {
    if (this.#hasSentFiles) return undefined;
    try {
      for (const path of this.#options.additionalFiles ?? []) {
        const serverName = await this.#transfer(basename(path), await readFile(path));
        this.#serverNames.set(basename(path), serverName);
      }
    } catch (error) {
      return `Additional files transfer failed: ${messageOf(error)}`;
    }
    try {
      await this.#sendInputFile(given);
    } catch (error) {
      return `File transfer failed: ${messageOf(error)}`;
    }
    this.#hasSentFiles = true;
    return undefined;
  }

  async #sendInputFile(given: DisconArguments): Promise<void> {
    const path = textOf(given.inFile.subarray(0, given.swap[SWAP.inFileBytes]));
    const isHere = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    if (!isHere) return;
    const text = replaceReferences(await readFile(path, 'utf8'), this.#serverNames);
    this.#inputName = await this.#transfer(basename(path), Buffer.from(text));
    given.swap[SWAP.inFileBytes] = zeroEnded(this.#inputName).length;
  }

  /** Gives back what the file is called on the server. */
  async #transfer(name: string, content: Buffer): Promise<string> {
    const { transferPausesMs = TRANSFER_PAUSES_MS } = this.#options;
    const serverName = serverFileName(name, content);
    const frame = encodeFrame(transferFrame(serverName, content));
    for (const pauseMs of [...transferPausesMs, undefined]) {
      try {
        await this.#tryTransfer(frame);
        return serverName;
      } catch (error) {
        if (pauseMs === undefined) {
          const attempts = transferPausesMs.length + 1;
          throw new Error(`failed to transfer file after ${attempts} attempts: ${messageOf(error)}`, {
            cause: error,
          });
        }
        await delay(pauseMs);
      }
    }
    return serverName;
  }

  async #tryTransfer(frame: Buffer): Promise<void> {
    const { transferLimitMs = TRANSFER_LIMIT_MS } = this.#options;
    await this.#webSocket.sendBinary(frame);
    // Once a read has run out of time the connection reads no more; what is sent still arrives.
    if (this.#isReadDead) throw new Error('i/o timeout');
    const answer = this.#receive();
    const late = Symbol('late');
    const timer = new AbortController();
    const first = await Promise.race([answer, delay(transferLimitMs, late, { signal: timer.signal })]);
    timer.abort();
    if (typeof first === 'symbol') {
      this.#isReadDead = true;
      answer.catch(() => undefined);
      throw new Error('i/o timeout');
    }
    const reply = decodeFrame(first);
    if (reply.fail !== 0) throw new Error(textOf(reply.msg));
  }

  async #exchange(frame: Buffer): Promise<Buffer> {
    try {
      if (this.#isReadDead) throw new Error('i/o timeout');
      await this.#webSocket.sendBinary(frame);
      return await this.#receive();
    } catch (error) {
      throw new SimulatorEndedError(`the connection was lost: ${messageOf(error)}`, this.attempts, error);
    }
  }

  async #receive(): Promise<Buffer> {
    this.#webSocket.startReading();
    try {
      return (await this.#webSocket.receive()).data;
    } finally {
      this.#webSocket.stopReading();
    }
  }
}

/** Where to connect, and what to ask for: `path` and `proc`, in this order, and nothing else. */
function requestOf({ serverAddress, ca, libraryPath, proc }: DisconClientOptions): UpgradeRequest {
  const url = new URL(serverAddress.includes('://') ? serverAddress : `http://${serverAddress}`);
  const defaultPort = DEFAULT_PORTS[url.protocol];
  if (defaultPort === undefined) throw new Error(`this client does not speak ${url.protocol}//`);
  const folder = url.pathname.replace(/\/$/, '');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? defaultPort : Number(url.port),
    headers: { Host: url.host },
    target: `${folder}/ws?path=${queryEscape(libraryPath)}&proc=${queryEscape(proc)}`,
    ...(url.protocol === 'https:' ? { tls: ca === undefined ? {} : { ca } } : {}),
  };
}

/** As Go writes a value of a query: only letters, digits, `-`, `_`, `.` and `~` stay, and a blank is a plus. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

function failedAttempt(error: Error): FailedAttempt {
  const isRefusal = error instanceof UpgradeRefusedError;
  return {
    error,
    status: isRefusal ? error.status : undefined,
    body: isRefusal ? error.body : undefined,
  };
}

import type { Refusal } from './refusal.ts';

/** What is passed on of a client's opening handshake (RFC 6455, section 4.1): what the two ends have to agree on. */
export interface Handshake {
  readonly key: string;
  readonly origin: string | undefined;
  /** To be sent to the upstream as they came: name, value, name, value. */
  readonly passedOn: readonly string[];
}

const VERSION = '13';
/** Sixteen bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
/** The only fields that reach an instance: no token of ours, no cookie of another page. */
const PASSED_ON: ReadonlySet<string> = new Set([
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'user-agent',
]);

/** Whether a request asks for a WebSocket at all; then everything else about it is told as a refusal. */
export function asksForWebSocket(upgrade: string | undefined): boolean {
  return upgrade !== undefined && tokensOf(upgrade).includes('websocket');
}

/** Reads the raw header fields; those of which one counts may stand there once only. */
export function readHandshake(
  method: string | undefined,
  rawHeaders: readonly string[],
): Handshake | Refusal {
  if (method !== 'GET') return bad(`a WebSocket is opened with GET, not ${method}`);
  const fields = new Map<string, string>();
  const passedOn: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase();
    const value = rawHeaders[index + 1] as string;
    if (PASSED_ON.has(name)) passedOn.push(name, value);
    else if (fields.has(name) && SINGLE.has(name)) return bad(`${name} was sent twice`);
    else fields.set(name, value);
  }
  return checked(fields, passedOn);
}

const SINGLE: ReadonlySet<string> = new Set([
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'origin',
  'content-length',
  'transfer-encoding',
]);

function checked(fields: ReadonlyMap<string, string>, passedOn: readonly string[]): Handshake | Refusal {
  const [upgrade = '', connection = ''] = [fields.get('upgrade'), fields.get('connection')];
  if (upgrade.trim().toLowerCase() !== 'websocket') return bad('Upgrade must be websocket, and nothing else');
  if (!tokensOf(connection).includes('upgrade')) return bad('Connection must name upgrade');
  if (fields.has('transfer-encoding') || (fields.get('content-length') ?? '0') !== '0')
    return bad('a request for a WebSocket has no body');
  const version = fields.get('sec-websocket-version');
  if (version !== VERSION) {
    const text = `Sec-WebSocket-Version must be ${VERSION}`;
    return { status: 426, text, headers: ['Sec-WebSocket-Version', VERSION] };
  }
  const key = fields.get('sec-websocket-key') ?? '';
  if (!KEY.test(key)) return bad('Sec-WebSocket-Key must be 16 bytes in base64');
  return { key, origin: fields.get('origin'), passedOn };
}

function bad(text: string): Refusal {
  return { status: 400, text };
}

function tokensOf(value: string): string[] {
  return value.split(',').map((token) => token.trim().toLowerCase());
}

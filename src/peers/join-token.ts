import { createHash } from 'node:crypto';
import { CodedError } from '../kernel/errors.ts';
import type { NodeId } from '../kernel/ids.ts';
import { isNodeId, parsePeerAddress } from '../kernel/peer-address.ts';
import { CLUSTER_KEY_BYTES } from './cluster-key.ts';

/** All that a node needs to join a cluster. Whoever has it is a member: it holds the key. */
export interface JoinToken {
  readonly key: Uint8Array;
  /** Who is reached at the addresses. */
  readonly nodeId: NodeId;
  /** From 1 to 16, without the id of the node. */
  readonly addresses: readonly string[];
}

export const MAX_JOIN_TOKEN_LENGTH = 8192;
export const MAX_JOIN_TOKEN_ADDRESSES = 16;

const VERSION = 'cm1';
/** In the order in which they follow the version, with the names that they have in messages. */
const PARTS = ['key', 'node', 'addresses'] as const;
type Part = (typeof PARTS)[number];
const CHECKSUM_BYTES = 4;

/** The text is no token that this node understands. Its message never holds anything of the text. */
export class JoinTokenError extends CodedError<'invalid_join_token'> {
  override readonly name = 'JoinTokenError';

  constructor(problem: string, details: Readonly<Record<string, unknown>> = {}) {
    super('invalid_join_token', `the join token ${problem}`, { details });
  }
}

/** The token as one word. Fails when it would be too long, or has an address that nobody could connect to. */
export function encodeJoinToken({ key, nodeId, addresses }: JoinToken): string {
  const places = addresses.map((address) => placeOf(address, nodeId));
  checkContent(key, nodeId, places);
  const payloads: Readonly<Record<Part, Uint8Array>> = {
    key,
    node: Buffer.from(nodeId),
    addresses: Buffer.from(places.join('\n')),
  };
  const token = [VERSION, ...PARTS.map((part) => encodePart(part, payloads[part]))].join('.');
  if (token.length > MAX_JOIN_TOKEN_LENGTH) throw tooLong();
  return token;
}

/** The token that a text is. Fails with a `JoinTokenError` that names the part that is wrong. */
export function decodeJoinToken(text: string): JoinToken {
  if (text.length > MAX_JOIN_TOKEN_LENGTH) throw tooLong();
  const [version = '', ...parts] = text.split('.');
  if (version !== VERSION) throw wrongVersion(version);
  if (parts.length < PARTS.length) {
    const missing = PARTS.slice(parts.length);
    throw new JoinTokenError(`lacks its ${missing.join(' and ')} part: copy all of it`, { part: missing[0] });
  }
  if (parts.length > PARTS.length)
    throw new JoinTokenError('has something behind its last part: copy it again');
  const [key, node, addresses] = PARTS.map((part, index) => decodePart(part, parts[index] ?? ''));
  const nodeId = String(node);
  const places = String(addresses).split('\n');
  checkContent(key ?? Buffer.of(), nodeId, places);
  return { key: key ?? Buffer.of(), nodeId: nodeId as NodeId, addresses: places };
}

function wrongVersion(version: string): JoinTokenError {
  if (/^cm\d{1,3}$/.test(version)) {
    const problem = `is of version ${version.slice(2)}, which this node does not know: it knows version ${VERSION.slice(2)}`;
    return new JoinTokenError(`${problem}; use the same release on every node`, { part: 'version' });
  }
  return new JoinTokenError(`does not begin with ${VERSION}: give it as \`cluster token\` prints it`, {
    part: 'version',
  });
}

function tooLong(): JoinTokenError {
  return new JoinTokenError(`is longer than ${MAX_JOIN_TOKEN_LENGTH} characters`);
}

/** What no checksum tells: it could have been made by something else. */
function checkContent(key: Uint8Array, nodeId: string, places: readonly string[]): void {
  const wrong = (part: Part, what: string): JoinTokenError =>
    new JoinTokenError(`has a wrong ${part} part: ${what}`, { part });
  if (key.length !== CLUSTER_KEY_BYTES) throw wrong('key', `${CLUSTER_KEY_BYTES} bytes are expected`);
  if (!isNodeId(nodeId)) throw wrong('node', 'it is not the id of a node');
  if (places.length < 1 || places.length > MAX_JOIN_TOKEN_ADDRESSES)
    throw wrong('addresses', `1 to ${MAX_JOIN_TOKEN_ADDRESSES} are expected`);
  if (!places.every((place) => parsePeerAddress(place)?.place === place))
    throw wrong('addresses', 'addresses such as /ip4/192.0.2.7/tcp/4001 are expected');
}

/** Without the id of the node, which the token has already. */
function placeOf(address: string, nodeId: NodeId): string {
  const parsed = parsePeerAddress(address);
  const isOfAnother = parsed?.nodeId !== undefined && parsed.nodeId !== nodeId;
  return parsed === undefined || isOfAnother ? address : parsed.place;
}

function encodePart(part: Part, payload: Uint8Array): string {
  return Buffer.concat([payload, checksumOf(part, payload)]).toString('base64url');
}

function decodePart(part: Part, text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  const payload = bytes.subarray(0, -CHECKSUM_BYTES);
  // What is no base64url is passed over by the decoder.
  const isWhole = bytes.length > CHECKSUM_BYTES && bytes.toString('base64url') === text;
  if (isWhole && checksumOf(part, payload).equals(bytes.subarray(-CHECKSUM_BYTES))) return payload;
  throw new JoinTokenError(`is mistyped in its ${part} part: copy all of it again`, { part });
}

/** Over the name as well, so that parts in the wrong order are noticed. */
function checksumOf(part: Part, payload: Uint8Array): Buffer {
  const hash = createHash('sha256').update(`${VERSION} ${part} `).update(payload);
  return hash.digest().subarray(0, CHECKSUM_BYTES);
}

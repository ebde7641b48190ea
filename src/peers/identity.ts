import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { NodeId } from '../kernel/ids.ts';
import { readOrCreateSecretFile } from './secret-file.ts';

/** Who this node is: an Ed25519 key that stays, and the libp2p peer id that follows from it. */
export interface Identity {
  readonly nodeId: NodeId;
  readonly privateKey: KeyObject;
  /** The 32-byte seed of the key; node-local secrets are derived from it. */
  readonly seed: Uint8Array;
}

/** Loads the key from `file` (PKCS #8 PEM, mode 0600), or makes it at the first start. */
export function loadIdentity(file: string): Identity {
  const pem = readOrCreateSecretFile(file, () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error(`${file} holds no Ed25519 key`);
  const jwk = privateKey.export({ format: 'jwk' });
  const publicKey = createPublicKey(privateKey).export({ format: 'jwk' }).x;
  return {
    nodeId: peerIdOf(Buffer.from(publicKey ?? '', 'base64url')),
    privateKey,
    seed: Buffer.from(jwk.d ?? '', 'base64url'),
  };
}

/**
 * The libp2p peer id of a raw Ed25519 public key: base58btc of an identity multihash over the key's protobuf
 * (libp2p specs, peer-ids/peer-ids.md).
 */
export function peerIdOf(publicKey: Uint8Array): NodeId {
  const keyProtobuf = [0x08, 0x01, 0x12, publicKey.length, ...publicKey];
  return base58(Uint8Array.from([0x00, keyProtobuf.length, ...keyProtobuf])) as NodeId;
}

const BASE58_ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

function base58(bytes: Uint8Array): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (; number > 0n; number /= 58n) text = `${BASE58_ALPHABET[Number(number % 58n)]}${text}`;
  const leadingZeros = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(Math.max(0, leadingZeros)) + text;
}

/** The raw Ed25519 public key that a peer id holds; undefined for any other text. */
export function publicKeyOf(nodeId: string): Uint8Array | undefined {
  if (nodeId.length > 64) return undefined;
  let number = 0n;
  for (const letter of nodeId) {
    const digit = BASE58_ALPHABET.indexOf(letter);
    if (digit === -1) return undefined;
    number = number * 58n + BigInt(digit);
  }
  const key = Buffer.from(number.toString(16).padStart(76, '0'), 'hex').subarray(-PUBLIC_KEY_BYTES);
  return key.length === PUBLIC_KEY_BYTES && peerIdOf(key) === nodeId ? key : undefined;
}

const PUBLIC_KEY_BYTES = 32;

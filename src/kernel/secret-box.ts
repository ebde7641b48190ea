import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { fillRandom } from './random-pool.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Keeps what must not be read in the store or on a container's label: AES-256-GCM for values that are needed again,
 * HMAC-SHA-256 for those that are only compared. Both keys come from one node-local secret (HKDF, RFC 5869).
 */
export class SecretBox {
  readonly #sealKey: KeyObject;
  readonly #tagKey: KeyObject;

  /** `secret`: at least 32 random bytes that never leave the node. */
  constructor(secret: Uint8Array) {
    this.#sealKey = deriveKey(secret, 'container-manager seal v1');
    this.#tagKey = deriveKey(secret, 'container-manager tag v1');
  }

  /** `nonce | ciphertext | tag`, base64. `context` must be given again to open it. */
  seal(plainText: string, context: string): string {
    const nonce = fillRandom(Buffer.allocUnsafe(NONCE_BYTES));
    const cipher = createCipheriv('aes-256-gcm', this.#sealKey, nonce).setAAD(Buffer.from(context));
    return Buffer.concat([
      nonce,
      cipher.update(plainText, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ]).toString('base64');
  }

  /** Throws when the text was not sealed by this box in this context. */
  open(sealed: string, context: string): string {
    const bytes = Buffer.from(sealed, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.#sealKey, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES));
    return Buffer.concat([
      decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
      decipher.final(),
    ]).toString('utf8');
  }

  /** A keyed fingerprint, 32 hex digits: equal texts give equal ones, and nobody without the key can try guesses. */
  fingerprint(text: string): string {
    return createHmac('sha256', this.#tagKey).update(text).digest('hex').slice(0, 32);
  }
}

/** As a key object: bytes would be made into one at every use, which takes longer than what they are used for. */
function deriveKey(secret: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, 32)));
}

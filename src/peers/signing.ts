import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import type { NodeId } from '../kernel/ids.ts';
import { peerIdOf, type Identity } from './identity.ts';

/** Signs as this node, and checks what others signed. */
export interface Signing {
  /** This node's raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
  /** The node that a public key belongs to. */
  nodeIdOf(publicKey: Uint8Array): NodeId;
}

/** Most keys that are kept ready; the nodes of a cluster are fewer. */
const MAX_KEYS = 4096;

interface KnownKey {
  readonly key: KeyObject;
  readonly nodeId: NodeId;
}

/** Ed25519 (RFC 8032) as Node has it. */
export class Ed25519Signing implements Signing {
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;
  readonly #known = new Map<string, KnownKey>();

  constructor(identity: Identity) {
    this.#privateKey = identity.privateKey;
    const { x = '' } = createPublicKey(identity.privateKey).export({ format: 'jwk' });
    this.publicKey = Buffer.from(x, 'base64url');
  }

  sign(bytes: Uint8Array): Uint8Array {
    return sign(null, bytes, this.#privateKey);
  }

  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
    return verify(null, bytes, this.#knownKey(publicKey).key, signature);
  }

  nodeIdOf(publicKey: Uint8Array): NodeId {
    return this.#knownKey(publicKey).nodeId;
  }

  /** A key object and an id take longer to make than a signature to check. */
  #knownKey(publicKey: Uint8Array): KnownKey {
    const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('base64url');
    let known = this.#known.get(x);
    if (known === undefined) {
      const key = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
      known = { key, nodeId: peerIdOf(publicKey) };
      // Strangers' keys come before their signatures are checked: they must not fill the memory.
      if (this.#known.size >= MAX_KEYS) this.#known.clear();
      this.#known.set(x, known);
    }
    return known;
  }
}

import { createHash, timingSafeEqual } from 'node:crypto';

/** `read` looks at jobs; `full` changes them too. */
export type Scope = 'read' | 'full';

export interface AccessToken {
  /** Who the caller is; the same on every node of a cluster. */
  readonly name: string;
  readonly token: string;
  readonly scope: Scope;
}

/** Who asks, and what they may do. */
export interface Caller {
  readonly name: string;
  readonly scope: Scope;
}

/** The tokens that open this node, kept as SHA-256 only. */
export class TokenBook {
  readonly #entries: readonly { readonly hash: Buffer; readonly caller: Caller }[];

  constructor(tokens: readonly AccessToken[]) {
    this.#entries = tokens.map(({ name, token, scope }) => ({
      hash: sha256(token),
      caller: { name, scope },
    }));
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Whose token it is. Takes as long for a wrong one as for a right one: every entry is compared. */
  find(token: string): Caller | undefined {
    const hash = sha256(token);
    let found: Caller | undefined;
    for (const entry of this.#entries) {
      if (timingSafeEqual(hash, entry.hash)) found = entry.caller;
    }
    return found;
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Longest Authorization value worth reading. */
const MAX_CREDENTIALS_LENGTH = 1024;

/** The token of an `Authorization: Bearer` value; `undefined` when it is anything else. */
export function bearerToken(authorization: string): string | undefined {
  if (authorization.length > MAX_CREDENTIALS_LENGTH) return undefined;
  return /^bearer +([\x21-\x7e]+)$/i.exec(authorization)?.[1];
}

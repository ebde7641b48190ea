import type { AbortOptions, ConnectionProtector, MessageStream } from '@libp2p/interface';
import { preSharedKey } from '@libp2p/pnet';

/** The memory that all ciphers of a process share has room for forty of these, and for thousands of ciphers. */
const PIECE_BYTES = 16 * 1024;

interface Cipher {
  update(input: Uint8Array, output?: Uint8Array): Uint8Array;
  /** Gives back what it takes of the memory. */
  finalize(): void;
}

/** What `@libp2p/pnet` makes of a connection. */
type Protected = MessageStream & { inboundXor: Cipher; outboundXor: Cipher };

/**
 * The private network of libp2p: who has another key, or none, cannot say a word (specs pnet/Private-Networks-PSK-V1.md).
 *
 * Its cipher keeps all that it works on in one WebAssembly memory, and `@libp2p/pnet` never gives anything back: after some 5,000
 * connections, of strangers too, or one piece that is larger than the memory, it grows with every few bytes until it may not, and then
 * what is received throws. So each cipher gets small pieces, and ends with its connection.
 */
export function privateNetwork(psk: Uint8Array): () => ConnectionProtector {
  return () => new BoundedProtector(preSharedKey({ psk })());
}

export class BoundedProtector implements ConnectionProtector {
  readonly #protector: ConnectionProtector;

  constructor(protector: ConnectionProtector) {
    this.#protector = protector;
  }

  async protect(connection: MessageStream, options?: AbortOptions): Promise<MessageStream> {
    const stream = (await this.#protector.protect(connection, options)) as Protected;
    const ciphers = [stream.inboundXor, stream.outboundXor].map((cipher) => new BoundedCipher(cipher));
    [stream.inboundXor, stream.outboundXor] = ciphers as [BoundedCipher, BoundedCipher];
    const finalize = (): void => {
      for (const cipher of ciphers) cipher.finalize();
    };
    // It may have ended while the nonces were exchanged.
    if (connection.status === 'open' || connection.status === 'closing')
      connection.addEventListener('close', finalize, { once: true });
    else finalize();
    return stream;
  }
}

class BoundedCipher implements Cipher {
  #cipher: Cipher | undefined;

  constructor(cipher: Cipher) {
    this.#cipher = cipher;
  }

  update(input: Uint8Array): Uint8Array {
    const output = new Uint8Array(input.length);
    for (let start = 0; start < input.length; start += PIECE_BYTES) {
      const end = start + PIECE_BYTES;
      // What comes after the end of the connection goes nowhere.
      this.#cipher?.update(input.subarray(start, end), output.subarray(start, end));
    }
    return output;
  }

  finalize(): void {
    this.#cipher?.finalize();
    this.#cipher = undefined;
  }
}

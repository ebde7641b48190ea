import { ApiError } from './errors.ts';

/** Largest answer to one request, all answers to a batch together, bytes: some 10,000 jobs. */
export const MAX_REPLY_BYTES = 8 * 1024 ** 2;

/** Puts the answers to one request into text, as long as they find room in its reply. */
export class ReplyBudget {
  #leftBytes = MAX_REPLY_BYTES;
  #isSpent = false;

  /** Whether an answer found no room. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /** The answer as JSON. Fails with `reply_too_large` when it is too long, and as JSON.stringify does when it is no JSON. */
  textOf(answer: unknown): string {
    const text = stringify(answer);
    const bytes = text === undefined ? Number.POSITIVE_INFINITY : Buffer.byteLength(text);
    if (text === undefined || bytes > this.#leftBytes) {
      this.#isSpent = true;
      throw tooLarge('the answer to this call found no room in the reply');
    }
    this.#leftBytes -= bytes;
    return text;
  }
}

/** What a call is answered that was not carried out because the reply is full already. */
export function notCarriedOut(): ApiError {
  return tooLarge('the call was not carried out, because the reply is full already');
}

/** `undefined` when the text would be longer than a text can be. */
function stringify(answer: unknown): string | undefined {
  try {
    return JSON.stringify(answer);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function tooLarge(what: string): ApiError {
  const remedy = 'ask for less at once, by a smaller limit or fewer calls in a batch';
  return new ApiError('reply_too_large', `${what}, which takes ${MAX_REPLY_BYTES} bytes: ${remedy}`, {
    details: { max_reply_bytes: MAX_REPLY_BYTES },
  });
}

/**
 * Where things stand in a JSON text. `JSON.parse` says neither the line of every mistake nor that of a value, and takes
 * the last of two fields of one name without a word.
 */

/** Deeper than any database file. */
const MAX_DEPTH = 16;

export interface Place {
  /** Both from 1 on. */
  readonly line: number;
  readonly column: number;
}

/** One step into a value: the name of a field, or the place in a list. */
export type Path = readonly (string | number)[];

export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** The value of a JSON text. Throws a `JsonSyntaxError`. */
export function parseJson(text: string): unknown {
  new Scanner(text).scan();
  return JSON.parse(text);
}

/** Where the value under a path stands, or as much of the path as there is. The text must be JSON. */
export function locate(text: string, path: Path): Place {
  let offset = 0;
  let depth = -1;
  new Scanner(text, (at, found) => {
    if (found.length <= depth || found.length > path.length) return;
    if (!found.every((step, index) => step === path[index])) return;
    [offset, depth] = [at, found.length];
  }).scan();
  return placeAt(text, offset);
}

function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  const lines = before.split('\n');
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\r\n]*/y;
/** Up to the quote at the end; control characters must be written as escapes. */
const STRING_BODY = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;

class Scanner {
  readonly #text: string;
  readonly #onValue: (offset: number, path: Path) => void;
  readonly #path: (string | number)[] = [];
  #offset = 0;

  constructor(text: string, onValue: (offset: number, path: Path) => void = () => undefined) {
    this.#text = text;
    this.#onValue = onValue;
  }

  scan(): void {
    this.#skipSpace();
    this.#value();
    this.#skipSpace();
    if (this.#offset < this.#text.length) this.#fail('nothing may follow the last bracket');
  }

  #value(): void {
    this.#onValue(this.#offset, this.#path);
    switch (this.#text[this.#offset]) {
      case '{':
        return this.#object();
      case '[':
        return this.#list();
      case '"':
        this.#string();
        return;
      case undefined:
        return this.#fail('the file ends in the middle');
      default:
        if (this.#take(NUMBER) === undefined && this.#take(WORD) === undefined) {
          this.#fail('a value is missing here, or a text without quotes');
        }
    }
  }

  #object(): void {
    const names = new Set<string>();
    this.#members('}', () => {
      const at = this.#offset;
      if (this.#text[at] !== '"') this.#fail('the name of a field, in double quotes, is missing here');
      const name = this.#string();
      if (names.has(name)) this.#fail(`the field ${JSON.stringify(name.slice(0, 64))} stands here twice`, at);
      names.add(name);
      this.#skipSpace();
      if (this.#text[this.#offset] !== ':') this.#fail('a colon is missing here');
      this.#offset += 1;
      this.#skipSpace();
      this.#path.push(name);
      this.#value();
      this.#path.pop();
    });
  }

  #list(): void {
    let index = 0;
    this.#members(']', () => {
      this.#path.push(index);
      this.#value();
      this.#path.pop();
      index += 1;
    });
  }

  #members(end: '}' | ']', member: () => void): void {
    if (this.#path.length >= MAX_DEPTH) this.#fail(`it is nested deeper than ${MAX_DEPTH} levels`);
    this.#offset += 1;
    this.#skipSpace();
    if (this.#text[this.#offset] === end) {
      this.#offset += 1;
      return;
    }
    for (;;) {
      member();
      this.#skipSpace();
      const next = this.#text[this.#offset];
      if (next === end) break;
      if (next !== ',')
        this.#fail(next === undefined ? 'the file ends in the middle' : `a comma or ${end} is missing here`);
      const comma = this.#offset;
      this.#offset += 1;
      this.#skipSpace();
      if (this.#text[this.#offset] === end) this.#fail(`there is a comma too many before ${end}`, comma);
    }
    this.#offset += 1;
  }

  #string(): string {
    const start = this.#offset;
    this.#offset += 1;
    this.#take(STRING_BODY);
    if (this.#text[this.#offset] !== '"') {
      this.#fail('a text is not closed, or holds what must be written as an escape such as \\n or \\\\');
    }
    this.#offset += 1;
    return JSON.parse(this.#text.slice(start, this.#offset)) as string;
  }

  #skipSpace(): void {
    this.#take(SPACE);
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset;
    const found = pattern.exec(this.#text)?.[0];
    this.#offset += found?.length ?? 0;
    return found;
  }

  #fail(message: string, offset = this.#offset): never {
    throw new JsonSyntaxError(message, placeAt(this.#text, offset));
  }
}

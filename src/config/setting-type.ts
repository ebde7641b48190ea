/** How the values of one kind of setting are read, described and shown. */
export interface SettingType<Value> {
  /** What is allowed, for people: `a whole number from 1 to 65535`. */
  readonly allowed: string;
  /** Stands for a value in `--help`. */
  readonly placeholder: string;
  /** The unit of `Value` in code, where it has one. */
  readonly unit?: string;
  /** The value of a flag's or variable's text, or of what a YAML file holds; `undefined` when it is not one. */
  read(input: unknown): Value | undefined;
  /** What a YAML file may hold for the value: `read` takes it back. */
  show(value: Value): unknown;
}

/** Longest text of one value: a list of some hundred names or tokens fits. */
const MAX_TEXT_LENGTH = 32_768;

/** Whether it is a text that a value can be read from: bounded, and free of control characters. */
export function isPlainText(input: unknown): input is string {
  if (typeof input !== 'string' || input.length > MAX_TEXT_LENGTH) return false;
  for (let index = 0; index < input.length; index += 1) {
    const code = input.charCodeAt(index);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  }
  return true;
}

export function asIs<Value>(value: Value): unknown {
  return value;
}

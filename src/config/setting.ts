import type { Surroundings } from './data-dir.ts';
import type { SettingType } from './setting-type.ts';

/** One setting. Its key is its place in its section; the names of its flag and its variable follow from the key. */
export interface Setting {
  readonly type: SettingType<unknown>;
  /** The value in code. Left out: the setting may have no value. */
  readonly default?: unknown;
  /** A default that depends on the machine, with what it says in words. */
  readonly defaultFrom?: { readonly text: string; readonly of: (surroundings: Surroundings) => unknown };
  /** One line for `--help` and the reference. */
  readonly text: string;
  /** Never shown. */
  readonly isSecret?: true;
  /** Whether there is a flag; `false` for what must not be seen in a list of processes. */
  readonly hasFlag?: false;
  /** Further flags of the same meaning. */
  readonly aliases?: readonly string[];
  /** What an empty text is answered, and a number that is not above 0; without, what is allowed is said. */
  readonly whenEmpty?: string;
  readonly whenNotPositive?: string;
}

/** Settings by their keys, as a section has them. */
export type Settings = Readonly<Record<string, Setting>>;

/** What the programs that are compared in a cluster have in common: each tells the others something, and hears them. */

export interface TalkerStart {
  /** Empty, and its own. */
  readonly directory: string;
  /** Where the others are, that were started before. */
  readonly bootstrap: readonly string[];
}

/** So much, evenly spread over the time it takes. */
export interface Talk {
  readonly perSecond: number;
  readonly count: number;
  /** Before the first, ms: so that not all of them speak at once. */
  readonly delayMs: number;
}

/** To be fetched whole from the first of them. */
export interface CatchUp extends TalkerStart {
  readonly records: number;
}

/** A version of something, and when it was said or heard, by the clock that all processes of one machine share, ms. */
export type Word = readonly [key: string, version: number, atMs: number];

export interface Words {
  readonly said: readonly Word[];
  readonly heard: readonly Word[];
}

export interface Spent {
  readonly cpuMs: number;
  /** Over TCP, in both directions. */
  readonly bytes: number;
}

/** The one clock of all processes, ms. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

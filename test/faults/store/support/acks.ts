import { openSync, readFileSync, writeSync } from 'node:fs';
import type { JobEvent } from '../../../../src/jobs/job.ts';
import type { JobId } from '../../../../src/kernel/ids.ts';

/** A change that the store has acknowledged. */
export interface Ack {
  readonly id: JobId;
  readonly seq: number;
  readonly type: JobEvent['type'];
}

/** What a writer wrote down about itself, in order. */
export interface AckLog {
  readonly acks: readonly Ack[];
  /** Ids that were submitted, acknowledged or not. */
  readonly tried: ReadonlySet<string>;
  /** Code of the failure that ended the last writer. */
  readonly fatal: string | undefined;
  /** Acknowledged to a writer that had been told of a failure, whichever writer. */
  readonly acksAfterFatal: number;
}

/** The writer's side: each line is with the operating system before the next statement runs. */
export class AckWriter {
  readonly #descriptor: number;

  constructor(file: string) {
    this.#descriptor = openSync(file, 'a');
    this.#line('begin');
  }

  tried(id: JobId): void {
    this.#line('try', id);
  }

  acked(ack: Ack): void {
    this.#line('ack', ack.id, ack.seq, ack.type);
  }

  fatal(code: string): void {
    this.#line('fatal', code);
  }

  #line(...words: readonly (string | number)[]): void {
    writeSync(this.#descriptor, `${words.join(' ')}\n`);
  }
}

/** The test's side. A last line that a kill cut short is not counted: its ack did not get out. */
export function readAcks(file: string): AckLog {
  const acks: Ack[] = [];
  const tried = new Set<string>();
  let fatal: string | undefined;
  let acksAfterFatal = 0;
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const [kind, first = '', seq, type] = line.split(' ');
    if (kind === 'begin') fatal = undefined;
    else if (kind === 'try') tried.add(first);
    else if (kind === 'fatal') fatal ??= first;
    else {
      acks.push({ id: first as JobId, seq: Number(seq), type: type as Ack['type'] });
      if (fatal !== undefined) acksAfterFatal += 1;
    }
  }
  return { acks, tried, fatal, acksAfterFatal };
}

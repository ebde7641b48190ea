import type { Row } from './measure/row.ts';
import type { Progress } from './report/progress.ts';

export interface BenchContext {
  /** Fewer and shorter rounds. */
  readonly isQuick: boolean;
  /** On a real disk; goes when the run is over. */
  readonly workDir: string;
  /** Where the children's CPU profiles go, if anywhere. */
  readonly profileDir: string | undefined;
  readonly progress: Progress;
  /** Says something about the figures that the table has no place for. */
  note(text: string): void;
}

export interface Suite {
  /** As `--only` takes it. */
  readonly name: string;
  readonly title: string;
  run(context: BenchContext): Promise<Row[]>;
}

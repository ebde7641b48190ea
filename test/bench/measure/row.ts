import { median } from './statistics.ts';

/** What one round measured, one right after the other. */
export interface Round {
  readonly ours: number;
  readonly baseline: number;
}

/**
 * What a row must reach: a share of its baseline, no more than so much of it or beyond it, or an absolute figure. An
 * absolute one says something only beside its baseline, since the machine may be slow today.
 */
export type Aim =
  | { readonly kind: 'ratio'; readonly atLeast: number }
  | { readonly kind: 'ratio'; readonly atMost: number }
  | { readonly kind: 'figure'; readonly atLeast: number }
  | { readonly kind: 'difference'; readonly below: number }
  | { readonly kind: 'figure'; readonly below: number };

export interface Measurement {
  /** As `--only` takes it. */
  readonly suite: string;
  readonly name: string;
  readonly unit: '/s' | 'ms' | 'MB' | '%' | 'KB/s' | 'MB/s' | 'KiB';
  readonly baselineName: string;
  readonly aim: Aim;
  readonly rounds: readonly Round[];
}

export interface Row extends Measurement {
  /** Medians over the rounds. */
  readonly figure: number;
  readonly baseline: number;
  /** Medians of the rounds' own ratios and differences: what slows a whole round down, slows both of it. */
  readonly ratio: number;
  readonly difference: number;
  readonly isMet: boolean;
}

export function rowOf(measurement: Measurement): Row {
  const { rounds, aim } = measurement;
  const medians = {
    figure: median(rounds.map((round) => round.ours)),
    baseline: median(rounds.map((round) => round.baseline)),
    ratio: median(rounds.map((round) => round.ours / round.baseline)),
    difference: median(rounds.map((round) => round.ours - round.baseline)),
  };
  return { ...measurement, ...medians, isMet: meets(aim, medians) };
}

function meets(aim: Aim, row: Pick<Row, 'figure' | 'ratio' | 'difference'>): boolean {
  switch (aim.kind) {
    case 'ratio':
      return 'atLeast' in aim ? row.ratio >= aim.atLeast : row.ratio <= aim.atMost;
    case 'difference':
      return row.difference < aim.below;
    case 'figure':
      return 'atLeast' in aim ? row.figure >= aim.atLeast : row.figure < aim.below;
  }
}

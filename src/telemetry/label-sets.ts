/** Longest label value. */
const MAX_VALUE_LENGTH = 64;

/** The label value that stands for all that found no place. */
export const OTHER = 'other';

/**
 * The series of one metric, by label values: made when they are first needed and kept, so that counting costs one
 * look-up. At most `maxSets`; whatever comes later shares the one in which each label is `other`.
 */
export class LabelSets<Series> {
  readonly #labels: readonly string[];
  readonly #maxSets: number;
  readonly #make: (labels: Record<string, string>) => Series;
  readonly #series = new Map<string, Series>();

  constructor(labels: readonly string[], maxSets: number, make: (labels: Record<string, string>) => Series) {
    this.#labels = labels;
    this.#maxSets = maxSets;
    this.#make = make;
  }

  /** The series of one value, or of two in the order of the labels. */
  at(first: string, second?: string): Series {
    const key = second === undefined ? first : `${first}\n${second}`;
    return this.#series.get(key) ?? this.#add(key, second === undefined ? [first] : [first, second]);
  }

  forEach(action: (series: Series) => void): void {
    for (const series of this.#series.values()) action(series);
  }

  #add(key: string, values: readonly string[]): Series {
    const isFull = this.#series.size >= this.#maxSets - 1;
    const otherKey = this.#labels.map(() => OTHER).join('\n');
    if (isFull && key !== otherKey) return this.at(OTHER, this.#labels.length > 1 ? OTHER : undefined);
    const named = this.#labels.map((label, index) => [
      label,
      (values[index] ?? OTHER).slice(0, MAX_VALUE_LENGTH),
    ]);
    const series = this.#make(Object.fromEntries(named) as Record<string, string>);
    this.#series.set(key, series);
    return series;
  }
}

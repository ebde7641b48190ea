/** A stretch of a log, `from` excluded and `to` included. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Most stretches that are remembered beyond a gap; what is forgotten is asked for again. */
export const MAX_SPANS = 64;

/**
 * Up to where a log is known without a gap, and which stretches beyond. Immutable. What a stretch does not hold was
 * superseded, so that nothing in it is waited for.
 */
export class Coverage {
  readonly upTo: number;
  readonly spans: readonly Span[];

  constructor(upTo = 0, spans: readonly Span[] = []) {
    this.upTo = upTo;
    this.spans = spans;
  }

  with({ from, to }: Span): Coverage {
    if (to <= this.upTo) return this;
    let upTo = this.upTo;
    const beyond: Span[] = [];
    for (const span of merged([...this.spans, { from, to }])) {
      if (span.from <= upTo) upTo = Math.max(upTo, span.to);
      else beyond.push(span);
    }
    // The nearest ones close a gap first.
    return new Coverage(upTo, beyond.slice(0, MAX_SPANS));
  }
}

function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last === undefined || span.from > last.to) result.push(span);
    else if (span.to > last.to) result[result.length - 1] = { from: last.from, to: span.to };
  }
  return result;
}

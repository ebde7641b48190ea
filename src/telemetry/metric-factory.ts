import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { LabelSets } from './label-sets.ts';
import { PendingCount } from './pending-count.ts';
import { metricOf, type MetricName, type MetricNameOf } from './metric-table.ts';

export type GaugeSeries = Pick<Gauge.Internal<string>, 'inc' | 'dec' | 'set'>;
export type HistogramSeries = Pick<Histogram.Internal<string>, 'observe'>;

/** Makes the metrics of the table, in one registry. */
export class MetricFactory {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  counter(name: MetricNameOf<'counter'>): Counter {
    return new Counter(this.#options(name));
  }

  counters(name: MetricNameOf<'counter'>): LabelSets<PendingCount> {
    const counter = new Counter({
      ...this.#options(name),
      collect: () => sets.forEach((series) => series.flush()),
    });
    const sets = this.#sets(name, (labels) => new PendingCount((count) => counter.inc(labels, count)));
    return sets;
  }

  /** `collect` is called when somebody looks. */
  gauge(name: MetricNameOf<'gauge'>, collect?: (gauge: Gauge) => void): Gauge {
    const gauge: Gauge = new Gauge({
      ...this.#options(name),
      ...(collect === undefined ? {} : { collect: () => collect(gauge) }),
    });
    return gauge;
  }

  gauges(name: MetricNameOf<'gauge'>): LabelSets<GaugeSeries> {
    const gauge = this.gauge(name);
    return this.#sets(name, (labels) => gauge.labels(labels));
  }

  histogram(name: MetricNameOf<'histogram'>): Histogram {
    const { buckets = [] } = metricOf(name);
    return new Histogram({ ...this.#options(name), buckets: [...buckets] });
  }

  histograms(name: MetricNameOf<'histogram'>): LabelSets<HistogramSeries> {
    const histogram = this.histogram(name);
    return this.#sets(name, (labels) => histogram.labels(labels));
  }

  #sets<Series>(name: MetricName, make: (labels: Record<string, string>) => Series): LabelSets<Series> {
    const { labels = [], maxSets = 1 } = metricOf(name);
    return new LabelSets(labels, maxSets, make);
  }

  #options(name: MetricName): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
    const { help, labels = [] } = metricOf(name);
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }
}

import type { MetricFactory } from './metric-factory.ts';

/** What is asked for when somebody looks at the metrics. Answers at once. */
export interface WatchedDoor {
  readonly sessions: () => number;
  readonly waiting: () => number;
  readonly instances: () => number;
}

/** The counters of the front door. */
export class DoorMetrics {
  readonly #opened;
  readonly #refused;
  readonly #seconds;
  #watched: WatchedDoor | undefined;

  constructor(make: MetricFactory) {
    this.#opened = make.counters('container_manager_door_opened_total');
    this.#refused = make.counters('container_manager_door_refused_total');
    this.#seconds = make.histogram('container_manager_door_open_seconds');
    make.gauge('container_manager_door_sessions', (gauge) => gauge.set(this.#watched?.sessions() ?? 0));
    make.gauge('container_manager_door_waiting', (gauge) => gauge.set(this.#watched?.waiting() ?? 0));
    make.gauge('container_manager_door_instances', (gauge) => gauge.set(this.#watched?.instances() ?? 0));
  }

  /** From now on the gauges say what these answer. */
  watch(watched: WatchedDoor): void {
    this.#watched = watched;
  }

  doorOpened(controller: string, durationMs: number): void {
    this.#opened.at(controller).inc();
    this.#seconds.observe(durationMs / 1000);
  }

  doorRefused(status: number): void {
    this.#refused.at(String(status)).inc();
  }
}

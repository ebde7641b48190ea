import type { Gauge } from 'prom-client';
import { MAX_CONTAINER_SETS } from './metric-table.ts';
import type { ContainerSample } from './telemetry.ts';

/** The gauges of single containers: bounded in number, and gone with their container. */
export class ContainerSeries {
  readonly #cpus: Gauge;
  readonly #memoryBytes: Gauge;
  readonly #jobs = new Set<string>();

  constructor(cpus: Gauge, memoryBytes: Gauge) {
    this.#cpus = cpus;
    this.#memoryBytes = memoryBytes;
  }

  /** Does nothing for a container that finds no place; it gets one when another has gone. */
  set(job: string, { cpus, memoryBytes }: ContainerSample): void {
    if (!this.#jobs.has(job) && this.#jobs.size >= MAX_CONTAINER_SETS) return;
    this.#jobs.add(job);
    this.#cpus.set({ job }, cpus);
    this.#memoryBytes.set({ job }, memoryBytes);
  }

  drop(job: string): void {
    if (!this.#jobs.delete(job)) return;
    this.#cpus.remove({ job });
    this.#memoryBytes.remove({ job });
  }
}

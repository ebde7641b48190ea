import { collectDefaultMetrics, Registry } from 'prom-client';
import { ContainerSeries } from './container-series.ts';
import { OTHER } from './label-sets.ts';
import { MetricFactory } from './metric-factory.ts';
import { DoorMetrics } from './door-metrics.ts';
import { PeerMetrics } from './peer-metrics.ts';
import type { ContainerSample, PlacementOutcome, Telemetry, Watched } from './telemetry.ts';

export interface MetricsOptions {
  readonly version: string;
  /** The JSON-RPC methods there are; calls of others are counted as `unknown`. */
  readonly methods: readonly string[];
  /** Whether the process's own metrics (CPU, memory, event loop, garbage collection) are there too. Default: yes. */
  readonly withProcess?: boolean;
}

/** What is counted for a call of a method that does not exist. */
export const UNKNOWN_METHOD = 'unknown';

/** Steps in which the event loop's delay is measured, ms: fine enough for a p99, coarse enough to cost nothing. */
const EVENT_LOOP_PRECISION_MS = 20;

/** The node's counters, in a registry of their own. */
export class Metrics implements Telemetry {
  readonly #registry = new Registry();
  readonly #make = new MetricFactory(this.#registry);
  readonly #methods: ReadonlySet<string>;
  /** What concerns other nodes is counted in a place of its own. */
  readonly peers = new PeerMetrics(this.#make);
  readonly door = new DoorMetrics(this.#make);
  #watched: Watched | undefined;

  readonly #jobsAccepted = this.#make.counter('container_manager_jobs_accepted_total');
  readonly #placements = this.#make.counters('container_manager_placements_total');
  readonly #jobsRefused = this.#make.counters('container_manager_jobs_refused_total');
  readonly #jobTransitions = this.#make.counters('container_manager_job_transitions_total');
  readonly #jobStateSeconds = this.#make.histograms('container_manager_job_state_seconds');
  readonly #jobsEnded = this.#make.counters('container_manager_jobs_ended_total');
  readonly #jobSeconds = this.#make.histograms('container_manager_job_seconds');
  readonly #deploySeconds = this.#make.histogram('container_manager_deploy_seconds');
  readonly #pulls = this.#make.counters('container_manager_pulls_total');
  readonly #pullBytes = this.#make.counter('container_manager_pull_bytes_total');
  readonly #pullSeconds = this.#make.histogram('container_manager_pull_seconds');
  readonly #engineUp = this.#make.gauge('container_manager_engine_up');
  readonly #engineCalls = this.#make.counters('container_manager_engine_calls_total');
  readonly #engineCallSeconds = this.#make.histograms('container_manager_engine_call_seconds');
  readonly #reconciles = this.#make.counter('container_manager_reconciles_total');
  readonly #reconcileActions = this.#make.counters('container_manager_reconcile_actions_total');
  readonly #commitSeconds = this.#make.histogram('container_manager_store_commit_seconds');
  readonly #commitRows = this.#make.histogram('container_manager_store_commit_rows');
  readonly #storeErrors = this.#make.counters('container_manager_store_errors_total');
  readonly #rpcRequests = this.#make.counters('container_manager_rpc_requests_total');
  readonly #rpcSeconds = this.#make.histograms('container_manager_rpc_request_seconds');
  readonly #httpRequests = this.#make.counters('container_manager_http_requests_total');
  readonly #requestsRefused = this.#make.counters('container_manager_requests_refused_total');
  readonly #streams = this.#make.gauges('container_manager_streams');
  readonly #containers = new ContainerSeries(
    this.#make.gauge('container_manager_container_cpus'),
    this.#make.gauge('container_manager_container_memory_bytes'),
  );

  constructor(options: MetricsOptions) {
    this.#methods = new Set(options.methods);
    this.#make.gauge('container_manager_info').set({ version: options.version }, 1);
    this.#watchQueue();
    if (options.withProcess === false) return;
    collectDefaultMetrics({
      register: this.#registry,
      eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS,
    });
  }

  /** From now on the gauges of queue and jobs say what these answer. */
  watch(watched: Watched): void {
    this.#watched = watched;
  }

  /** The page for `/metrics`, in the text format of Prometheus. Looking at it is what has the containers sampled. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.#watched?.sampleContainers?.();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  jobAccepted(): void {
    this.#jobsAccepted.inc();
  }

  jobRefused(reason: string): void {
    this.#jobsRefused.at(reason).inc();
  }

  jobPlaced(outcome: PlacementOutcome): void {
    this.#placements.at(outcome).inc();
  }

  jobStateChanged(from: string | undefined, to: string, inStateMs: number): void {
    this.#jobTransitions.at(from ?? 'none', to).inc();
    if (from !== undefined) this.#jobStateSeconds.at(from).observe(seconds(inStateMs));
  }

  jobEnded(state: string, reason: string, durationMs: number): void {
    this.#jobsEnded.at(state, reason).inc();
    this.#jobSeconds.at(state).observe(seconds(durationMs));
  }

  deployed(durationMs: number): void {
    this.#deploySeconds.observe(seconds(durationMs));
  }

  pullEnded(outcome: string, bytes: number, durationMs: number): void {
    this.#pulls.at(outcome).inc();
    this.#pullBytes.inc(amount(bytes));
    this.#pullSeconds.observe(seconds(durationMs));
  }

  engineCall(call: string, outcome: string, durationMs: number): void {
    this.#engineCalls.at(call, outcome).inc();
    this.#engineCallSeconds.at(call).observe(seconds(durationMs));
  }

  engineUp(isUp: boolean): void {
    this.#engineUp.set(isUp ? 1 : 0);
  }

  reconciled(actions: Readonly<Record<string, number>>): void {
    this.#reconciles.inc();
    for (const [action, times] of Object.entries(actions))
      this.#reconcileActions.at(action).inc(amount(times));
  }

  storeCommit(rows: number, durationMs: number): void {
    this.#commitRows.observe(amount(rows));
    this.#commitSeconds.observe(seconds(durationMs));
  }

  storeError(code: string): void {
    this.#storeErrors.at(code).inc();
  }

  rpcCall(method: string, outcome: string, durationMs: number): void {
    const known = this.#methods.has(method) ? method : UNKNOWN_METHOD;
    this.#rpcRequests.at(known, outcome).inc();
    this.#rpcSeconds.at(known).observe(seconds(durationMs));
  }

  httpRequest(route: string, status: number): void {
    this.#httpRequests.at(route, STATUS_CLASSES[Math.trunc(status / 100)] ?? OTHER).inc();
  }

  refused(reason: string): void {
    this.#requestsRefused.at(reason).inc();
  }

  streamOpened(route: string): void {
    this.#streams.at(route).inc();
  }

  streamClosed(route: string): void {
    this.#streams.at(route).dec();
  }

  containerSampled(jobId: string, sample: ContainerSample): void {
    this.#containers.set(jobId, sample);
  }

  containerGone(jobId: string): void {
    this.#containers.drop(jobId);
  }

  #watchQueue(): void {
    this.#make.gauge('container_manager_queue_jobs', (gauge) =>
      gauge.set(this.#watched?.queue().waiting ?? 0),
    );
    this.#make.gauge('container_manager_workers_busy', (gauge) =>
      gauge.set(this.#watched?.queue().working ?? 0),
    );
    this.#make.gauge('container_manager_containers_running', (gauge) =>
      gauge.set(this.#watched?.queue().running ?? 0),
    );
    this.#make.gauge('container_manager_jobs', (gauge) => {
      gauge.reset();
      for (const [state, count] of Object.entries(this.#watched?.jobsByState() ?? {}))
        gauge.set({ state }, count);
    });
  }
}

const STATUS_CLASSES: Readonly<Record<number, string>> = { 1: '1xx', 2: '2xx', 3: '3xx', 4: '4xx', 5: '5xx' };

function seconds(durationMs: number): number {
  return amount(durationMs) / 1000;
}

/** A number that can be counted: the library throws at others, and counting must never be what fails. */
function amount(value: number): number {
  return Number.isFinite(value) && value > 0 ? value : 0;
}

import type { MetricFactory } from './metric-factory.ts';
import type { PeerTelemetry, WatchedPeers } from './peer-telemetry.ts';

/** The counters of what concerns other nodes. */
export class PeerMetrics implements PeerTelemetry {
  readonly #refused;
  readonly #messages;
  readonly #records;
  readonly #syncs;
  readonly #syncRecords;
  readonly #syncSeconds;
  readonly #faults;
  #watched: WatchedPeers | undefined;

  constructor(make: MetricFactory) {
    this.#refused = make.counters('container_manager_peers_refused_total');
    this.#messages = make.counters('container_manager_gossip_messages_total');
    this.#records = make.counter('container_manager_gossip_records_total');
    this.#syncs = make.counters('container_manager_syncs_total');
    this.#syncRecords = make.counter('container_manager_sync_records_total');
    this.#syncSeconds = make.histogram('container_manager_sync_seconds');
    this.#faults = make.counters('container_manager_replication_faults_total');
    make.gauge('container_manager_peers', (gauge) => gauge.set(this.#watched?.connected() ?? 0));
    make.gauge('container_manager_peers_lost', (gauge) => gauge.set(this.#watched?.lost() ?? 0));
    make.gauge('container_manager_mirrored_jobs', (gauge) => gauge.set(this.#watched?.mirrored() ?? 0));
  }

  /** From now on the gauges say what these answer. */
  watch(watched: WatchedPeers): void {
    this.#watched = watched;
  }

  peerRefused(reason: string): void {
    this.#refused.at(reason).inc();
  }

  gossiped(outcome: string): void {
    this.#messages.at(outcome).inc();
  }

  gossipTaken(records: number): void {
    this.#records.inc(records);
  }

  synced(scope: string, outcome: string, records: number, durationMs: number): void {
    this.#syncs.at(scope, outcome).inc();
    this.#syncRecords.inc(records);
    this.#syncSeconds.observe(durationMs / 1000);
  }

  replicationFault(fault: string): void {
    this.#faults.at(fault).inc();
  }
}

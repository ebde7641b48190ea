import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiOptions } from './api/server.ts';
import type { CatalogOptions } from './catalog/options.ts';
import type { Config } from './config/settings.ts';
import type { FrontDoorOptions } from './frontdoor/front-door.ts';
import type { InstancePoolOptions } from './instances/instance-pool.ts';
import type { JobDefaults } from './jobs/plan.ts';
import type { JobPolicy } from './jobs/policy.ts';
import type { RetentionOptions } from './jobs/retention.ts';
import type { NodeId } from './kernel/ids.ts';

/** What each part of a node is told of the settings: none of them knows the others'. */

export function jobDefaultsOf(config: Config): JobDefaults {
  return {
    memoryBytes: config['defaults.memory'],
    cpus: config['defaults.cpu'],
    pids: config['defaults.pids'],
    network: config['docker.network'],
    pull: config['docker.pull'],
    stopTimeoutMs: config['defaults.stop_timeout'],
    queueTimeoutMs: config['defaults.queue_timeout'],
    pullTimeoutMs: config['docker.pull_timeout'],
    startTimeoutMs: config['defaults.start_timeout'],
    runTimeoutMs: config['defaults.run_timeout'],
    retryAttempts: config['defaults.retry_attempts'],
    retryBackoffMs: config['defaults.retry_backoff'],
  };
}

export function jobPolicyOf(config: Config): JobPolicy {
  return {
    networks: [config['docker.network'], 'none', ...config['policy.networks']],
    publishAddresses: config['policy.publish_addresses'],
    registries: config['policy.registries'],
    maxMemoryBytes: config['policy.max_memory'],
    maxCpus: config['policy.max_cpu'],
    maxPids: config['policy.max_pids'],
  };
}

export function frontDoorOptionsOf(config: Config): FrontDoorOptions {
  return {
    defaults: {
      memory: config['frontdoor.memory'],
      cpu: config['frontdoor.cpu'],
      maxInstances: config['frontdoor.max_instances'],
      maxConnections: config['frontdoor.max_connections'],
      startTimeoutMs: config['frontdoor.start_timeout'],
      stopTimeoutMs: config['frontdoor.stop_timeout'],
      idleTimeoutMs: config['frontdoor.idle_timeout'],
    },
    allowedOrigins: config['frontdoor.allowed_origins'],
    maxSessions: config['frontdoor.max_sessions'],
    maxSilenceMs: config['frontdoor.max_silence'],
    stallTimeoutMs: config['frontdoor.stall_timeout'],
    handshakeTimeoutMs: config['frontdoor.handshake_timeout'],
  };
}

export function poolOptionsOf(config: Config): InstancePoolOptions {
  return {
    maxInstances: config['frontdoor.max_instances'],
    maxWaiting: config['frontdoor.max_waiting'],
    idleTimeoutMs: config['frontdoor.idle_timeout'],
  };
}

export function catalogOptionsOf(config: Config, dataDir: string, owner: NodeId): CatalogOptions {
  return {
    file: config['catalog.file'] ?? join(dataDir, 'controllers.json'),
    owner,
    discovery: {
      mode: config['catalog.discovery'] as CatalogOptions['discovery']['mode'],
      intervalMs: config['catalog.discovery_interval'],
      removeMissing: config['catalog.remove_missing'],
      followImages: config['catalog.follow_images'],
    },
    validation: {
      enabled: config['catalog.validate'],
      verifySymbols: config['catalog.verify_symbols'],
      isLive: config['catalog.live_test'],
    },
    liveTest: {
      network: config['docker.network'],
      memoryBytes: config['frontdoor.memory'],
      cpus: config['frontdoor.cpu'],
      pids: config['defaults.pids'],
      startTimeoutMs: config['frontdoor.start_timeout'],
      answerTimeoutMs: config['frontdoor.handshake_timeout'],
    },
  };
}

export function retentionOf(config: Config): RetentionOptions {
  return {
    keepCount: config['retention.count'],
    keepMs: config['retention.age'],
    tombstoneMs: config['retention.tombstones'],
  };
}

export function apiOptionsOf(config: Config): ApiOptions {
  const certFile = config['tls.cert_file'];
  const keyFile = config['tls.key_file'];
  const tls = certFile !== undefined && keyFile !== undefined;
  return {
    listenAddress: config.listen_address,
    port: config.port,
    ...(tls ? { tls: { cert: readFileSync(certFile), key: readFileSync(keyFile) } } : {}),
    access: {
      mode: config['auth.mode'] === 'none' ? 'none' : 'token',
      tokens: config['auth.tokens'],
      trustedNetworks: config['auth.trusted_networks'],
      allowedHosts: config['auth.allowed_hosts'],
      allowedOrigins: config['auth.allowed_origins'],
    },
    doorNetworks: config['frontdoor.allowed_networks'],
    limits: {
      maxBodyBytes: config['limits.body'],
      maxBatchItems: config['limits.batch'],
      maxNesting: config['limits.nesting'],
      maxHeaderBytes: config['limits.headers'],
      maxHeaderCount: config['limits.header_count'],
      maxUrlBytes: config['limits.url'],
      headersTimeoutMs: config['limits.headers_timeout'],
      requestTimeoutMs: config['limits.request_timeout'],
      keepAliveTimeoutMs: config['limits.keep_alive'],
      maxConnections: config['limits.connections'],
      maxConnectionsPerAddress: config['limits.connections_per_address'],
      maxStreams: config['limits.streams'],
    },
  };
}

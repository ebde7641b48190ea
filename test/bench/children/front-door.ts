import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { NoPeers } from '../../../src/api/no-peers.ts';
import { createApiServer, type ApiServer } from '../../../src/api/server.ts';
import { DOOR_PATH } from '../../../src/frontdoor/local-opener.ts';
import { FrontDoor } from '../../../src/frontdoor/front-door.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { InvariantError } from '../../../src/kernel/errors.ts';
import { newJobId, type NodeId } from '../../../src/kernel/ids.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { catalogOf } from '../../support/catalog.ts';
import { FakeJobs } from '../../support/fake-jobs.ts';
import { serveParent } from './parent.ts';

/** The front door and its listener, as a node puts them together, with one job and no engine. */
export interface DoorStart {
  /** Where the container of the job listens. */
  readonly echoPort: number;
}

export interface DoorStarted {
  readonly port: number;
  /** What a client asks for to be led to the job. */
  readonly target: string;
}

/** More than any suite opens. */
const MAX_CONNECTIONS = 8_000;
const SELF = { node_id: '12D3KooWBench' as NodeId, cluster_id: '0', name: 'bench' };

/** For memory that is given back to be gone, ms. */
const GIVE_BACK_MS = 500;

let api: ApiServer | undefined;

function fail(error: InvariantError): never {
  throw error;
}

function start({ echoPort }: DoorStart): ApiServer {
  const clock = systemClock;
  const logger = SILENT_LOGGER;
  const metrics = new Metrics({ version: '0', methods: [] });
  const unasked = (): never => fail(new InvariantError('clients ask for the job alone'));
  const door = new FrontDoor(
    {
      defaults: {
        ...{ memory: 1, cpu: 1, maxInstances: 1, maxConnections: 1 },
        ...{ startTimeoutMs: 1_000, stopTimeoutMs: 1_000, idleTimeoutMs: 1_000 },
      },
      ...{
        allowedOrigins: [],
        maxSessions: MAX_CONNECTIONS,
        maxSilenceMs: 0,
        stallTimeoutMs: 30_000,
        handshakeTimeoutMs: 20_000,
      },
    },
    {
      catalog: { resolve: unasked },
      instances: {
        acquire: unasked,
        release: unasked,
        onLost: () => ({ [Symbol.dispose]: () => undefined }),
      },
      upstreamOfJob: () => ({ host: '127.0.0.1', port: echoPort }),
      ...{ clock, logger, telemetry: metrics.door, onInvariantError: fail },
    },
  );
  const access = { trustedNetworks: [], allowedHosts: [], allowedOrigins: [] };
  return createApiServer(
    {
      ...{ listenAddress: '127.0.0.1', port: 0, access: { mode: 'token', tokens: [], ...access } },
      limits: { maxConnections: MAX_CONNECTIONS },
    },
    {
      jobs: new FakeJobs(),
      frontDoor: door,
      controllers: catalogOf('/dev/null'),
      peers: new NoPeers(SELF),
      node: {
        info: () => ({ ...SELF, version: '0', uptime_ms: 0, draining: false }),
        drain: () => undefined,
        undrain: () => undefined,
      },
      ...{ logger, metrics, clock },
      health: () => ({
        status: 'ok',
        ready: true,
        version: '0',
        node: SELF.node_id,
        uptime_ms: 0,
        parts: {},
      }),
      isStarting: () => false,
      version: () => ({ version: '0', node_version: process.versions.node }),
      onInvariantError: fail,
    },
  );
}

/** What V8 does by itself half a minute after the last connection came, but now: collect, and give back what is not needed. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: object) => void;
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  await delay(GIVE_BACK_MS);
}

serveParent(
  {
    settle: collect,
    start: async (options: DoorStart): Promise<DoorStarted> => {
      api = start(options);
      const { port } = await api.listen();
      return { port, target: `${DOOR_PATH}?job=${newJobId(Date.now())}` };
    },
  },
  async () => api?.close({ graceMs: 0 }),
);

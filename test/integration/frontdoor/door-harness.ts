import { onTestFinished } from 'vitest';
import { controllerSchema, type ControllerRecord } from '../../../src/catalog/controller.ts';
import { type ControllerQuery, type Resolution, resolve } from '../../../src/catalog/selection.ts';
import { FrontDoor, type FrontDoorOptions } from '../../../src/frontdoor/front-door.ts';
import { InstancePool, type InstancePoolOptions } from '../../../src/instances/instance-pool.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { reachableAt } from '../../../src/node-front-door.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { JobHarness, TEST_IMAGE } from '../../support/job-harness.ts';
import { type ApiOverrides, type RunningApi, startApi } from '../api/api-harness.ts';
import { TestUpstream } from './test-upstream.ts';

export interface DoorHarness {
  readonly api: RunningApi;
  readonly port: number;
  readonly door: FrontDoor;
  readonly pool: InstancePool;
  readonly jobs: JobHarness;
  readonly upstream: TestUpstream;
  readonly catalog: { resolve(query: ControllerQuery): Resolution };
  readonly opened: string[];
  readonly refused: number[];
}

export interface DoorOverrides {
  readonly entries?: readonly Partial<ControllerRecord>[];
  readonly door?: Partial<FrontDoorOptions>;
  readonly pool?: Partial<InstancePoolOptions>;
  readonly api?: ApiOverrides;
}

/** A front door on real sockets. Its containers are those of a fake engine, and all of them listen where one test upstream does. */
export async function startDoor(overrides: DoorOverrides = {}): Promise<DoorHarness> {
  const upstream = await TestUpstream.start();
  const jobs = await JobHarness.start();
  const deps = { clock: systemClock, logger: SILENT_LOGGER };
  const pool = new InstancePool(
    { maxInstances: 20, maxWaiting: 10, idleTimeoutMs: 60_000, ...overrides.pool },
    { jobs: jobs.jobs, log: jobs.log, engine: jobs.driver, gate: jobs.gate, ...deps },
  );
  pool.start();
  const entries = (overrides.entries ?? [{}]).map((entry) =>
    controllerSchema.parse({
      id: 'rosco',
      version: '2.9.4',
      image: TEST_IMAGE,
      library_path: '/app/libdiscon.so',
      proc_name: 'DISCON',
      ports: { internal: upstream.port },
      resources: { memory: '16m' },
      ...entry,
    }),
  );
  const catalog = { resolve: (query: ControllerQuery) => resolve(entries, query) };
  const opened: string[] = [];
  const refused: number[] = [];
  const door = new FrontDoor(
    {
      defaults: {
        ...{ memory: 16 * 1024 ** 2, cpu: 1, maxInstances: 10, maxConnections: 10 },
        ...{ startTimeoutMs: 15_000, stopTimeoutMs: 1_000, idleTimeoutMs: 60_000 },
      },
      ...{
        allowedOrigins: [],
        maxSessions: 100,
        maxSilenceMs: 0,
        stallTimeoutMs: 0,
        handshakeTimeoutMs: 15_000,
      },
      ...overrides.door,
    },
    {
      catalog,
      instances: pool,
      upstreamOfJob: (id) => reachableAt(id, jobs.log),
      telemetry: {
        doorOpened: (controller) => void opened.push(controller),
        doorRefused: (status) => void refused.push(status),
      },
      onInvariantError: (error) => {
        throw error;
      },
      ...deps,
    },
  );
  const api = await startApi({ facade: () => jobs.jobs, ...overrides.api, frontDoor: door });
  onTestFinished(async () => {
    door[Symbol.dispose]();
    await pool[Symbol.asyncDispose]();
    await jobs[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });
  return { api, port: api.port, door, pool, jobs, upstream, catalog, opened, refused };
}

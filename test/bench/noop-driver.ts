import type { InstanceId } from '../../src/kernel/ids.ts';
import type {
  EngineInfo,
  EventsOptions,
  ImageEvent,
  ImageEventsOptions,
  ImageInfo,
  ImageSummary,
  InstanceFile,
  InstancePlan,
  InstanceSummary,
  InstanceView,
  LogChunk,
  RuntimeDriver,
  RuntimeEvent,
} from '../../src/runtime/driver.ts';

const IMAGE: ImageInfo = {
  id: 'sha256:noop',
  digest: undefined,
  sizeBytes: 1,
  labels: {},
  architecture: 'none',
  workingDir: '/',
};
const INFO: EngineInfo = { name: 'No-op Engine', version: '1', apiVersion: '1', architecture: 'none' };

/** An engine whose containers have exited with 0 as soon as they are started. It remembers nothing and costs nothing. */
export class NoopDriver implements RuntimeDriver {
  async info(): Promise<EngineInfo> {
    return INFO;
  }

  async findImage(): Promise<ImageInfo> {
    return IMAGE;
  }

  async pullImage(): Promise<ImageInfo> {
    return IMAGE;
  }

  async listImages(): Promise<ImageSummary[]> {
    return [];
  }

  async create(plan: InstancePlan): Promise<InstanceId> {
    return plan.name as InstanceId;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  async remove(): Promise<void> {}

  async pause(): Promise<void> {}

  async unpause(): Promise<void> {}

  async readFile(): Promise<InstanceFile> {
    return { kind: 'missing' };
  }

  async inspect(idOrName: string): Promise<InstanceView> {
    const nowMs = Date.now();
    return {
      id: idOrName as InstanceId,
      name: idOrName,
      labels: {},
      state: 'exited',
      createdAtMs: nowMs,
      imageId: IMAGE.id,
      startedAtMs: nowMs,
      exit: { exitCode: 0, signal: undefined, oomKilled: false, finishedAtMs: nowMs, message: undefined },
      health: 'none',
      address: undefined,
      ports: [],
    };
  }

  async list(): Promise<InstanceSummary[]> {
    return [];
  }

  async *events(options: EventsOptions): AsyncIterable<RuntimeEvent> {
    options.onSubscribed?.();
    await new Promise((resolve) => options.signal.addEventListener('abort', resolve, { once: true }));
  }

  async *imageEvents(options: ImageEventsOptions): AsyncIterable<ImageEvent> {
    options.onSubscribed?.();
    await new Promise((resolve) => options.signal.addEventListener('abort', resolve, { once: true }));
  }

  async *logs(): AsyncIterable<LogChunk> {}

  async stats(): Promise<undefined> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

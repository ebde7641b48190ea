import Docker from 'dockerode';
import type { ContainerCreateOptions } from 'dockerode';
import { timeInFlight } from '../measure/in-flight.ts';
import { serveParent } from './parent.ts';

/** The floor: the same three calls, straight to the engine. */
export interface EngineDeploys {
  readonly body: ContainerCreateOptions;
  readonly count: number;
  readonly concurrency: number;
}

export interface EngineTimes {
  readonly seconds: number;
  /** Create and start alone, without the look at the end, ms; the mean of a deploy. */
  readonly createAndStartMs: number;
}

const docker = new Docker();
let made: string[] = [];
let nextName = 1;

serveParent(
  {
    deploy: async ({ body, count, concurrency }: EngineDeploys): Promise<EngineTimes> => {
      let engineMs = 0;
      const seconds = await timeInFlight(count, concurrency, async () => {
        const startedMs = performance.now();
        const container = await docker.createContainer({
          ...body,
          name: `cm-bench-${process.pid}-${nextName++}`,
        });
        made.push(container.id);
        await container.start();
        engineMs += performance.now() - startedMs;
        await container.inspect();
      });
      return { seconds, createAndStartMs: engineMs / count };
    },
    clear: async () => {
      const ids = made;
      made = [];
      await Promise.all(ids.map((id) => docker.getContainer(id).remove({ force: true, v: true })));
    },
  },
  async () => undefined,
);

import { createInterface } from 'node:readline';
import type Docker from 'dockerode';
import type { NodeHome } from '../../../support/node-process.ts';
import type { FakeDriver } from '../../../support/fake-driver.ts';
import type { EngineOracle, OracleContainer } from './verdict.ts';

const JOB_LABEL = 'container-manager.job';

/** The fake engine as a witness: every start goes past it. */
export function fakeOracle(driver: FakeDriver): EngineOracle {
  const starts = new Map<string, number>();
  const begin = driver.start.bind(driver);
  driver.start = async (id) => {
    const before = driver.instances.get(id)?.state;
    await begin(id);
    if (before === 'running') return;
    const tag = driver.planOf(id).labels['tag'] ?? '';
    starts.set(tag, (starts.get(tag) ?? 0) + 1);
  };
  const containers = (): Promise<OracleContainer[]> =>
    Promise.resolve(
      [...driver.instances.values()].map(({ labels, state, exit }) => ({
        jobId: labels[JOB_LABEL] ?? '',
        tag: labels['tag'] ?? '',
        isRunning: state === 'running',
        exitCode: exit?.exitCode,
      })),
    );
  return { starts: () => starts, containers };
}

/** A Docker Engine as a witness, by its own events and lists. Dispose to stop listening. */
export class DockerOracle implements EngineOracle, Disposable {
  readonly #docker: Docker;
  readonly #home: NodeHome;
  readonly #starts = new Map<string, number>();
  #stop: () => void = () => undefined;

  private constructor(docker: Docker, home: NodeHome) {
    this.#docker = docker;
    this.#home = home;
  }

  /** From now on every start of a container that carries a tag is counted. */
  static async listen(docker: Docker, home: NodeHome): Promise<DockerOracle> {
    const oracle = new DockerOracle(docker, home);
    const filters = { type: ['container'], event: ['start'], label: ['tag', 'container-manager.owner'] };
    const stream: NodeJS.ReadableStream = await docker.getEvents({ filters: JSON.stringify(filters) });
    const lines = createInterface({ input: stream });
    lines.on('error', () => undefined);
    lines.on('line', (line) => oracle.#count(line));
    oracle.#stop = () => (stream as unknown as { destroy(): void }).destroy();
    stream.on('error', () => undefined);
    return oracle;
  }

  starts(): ReadonlyMap<string, number> {
    return this.#starts;
  }

  async containers(): Promise<OracleContainer[]> {
    const list = await this.#home.containers(this.#docker);
    return Promise.all(
      list.map(async ({ Id, Labels, State }) => ({
        jobId: Labels[JOB_LABEL] ?? '',
        tag: Labels['tag'] ?? '',
        isRunning: State === 'running' || State === 'paused',
        exitCode: State === 'exited' ? await this.#exitCode(Id) : undefined,
      })),
    );
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  async #exitCode(id: string): Promise<number | undefined> {
    const container = await this.#docker
      .getContainer(id)
      .inspect()
      .catch(() => undefined);
    return container?.State.ExitCode;
  }

  #count(line: string): void {
    const { Actor } = JSON.parse(line) as { Actor: { Attributes: Record<string, string> } };
    const { tag, [JOB_LABEL]: job } = Actor.Attributes;
    if (tag === undefined || job === undefined) return;
    this.#starts.set(tag, (this.#starts.get(tag) ?? 0) + 1);
  }
}

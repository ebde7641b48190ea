import { execFile } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { parse } from 'yaml';
import { TEST_LABEL } from './docker.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

/** The programs that read compose files, each with the words it is called by; those that are here are tried. */
const PROGRAMS = [
  ['docker-compose'],
  ['docker', 'compose'],
] as const satisfies readonly (readonly string[])[];

/** Packages are installed meanwhile, ms. */
const BUILD_TIMEOUT_MS = 240_000;
const COMMAND_TIMEOUT_MS = 90_000;
const HEALTHY_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 ** 2;

const SERVICES = ['node-1', 'node-2'] as const;
export type Service = (typeof SERVICES)[number];

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** What is read of a whole compose file, as a program prints it. */
export interface ComposeConfig {
  readonly services: Record<Service, { readonly ports: readonly (string | PortMapping)[] }>;
}

interface PortMapping {
  readonly host_ip?: string;
  readonly published: string | number;
  readonly target: number;
}

/** The compose programs of this machine. Fails when there is none. */
export async function composePrograms(): Promise<string[]> {
  const here: string[] = [];
  for (const [program, ...words] of PROGRAMS) {
    const isHere = await run(program, [...words, 'version']).then(
      () => true,
      () => false,
    );
    if (isHere) here.push([program, ...words].join(' '));
  }
  if (here.length === 0)
    throw new Error('no docker-compose on this machine; run: npm run setup -- --for-tests');
  return here;
}

/** The file as a user has it, without anything that the tests add. */
export async function composeConfig(program: string): Promise<{ config: ComposeConfig; warnings: string }> {
  const [command = '', ...words] = program.split(' ');
  const env = { PATH: process.env['PATH'], HOME: tmpdir() };
  const { stdout, stderr } = await run(command, [...words, '-f', 'docker-compose.yml', 'config'], { env });
  return { config: parse(stdout) as ComposeConfig, warnings: stderr };
}

/**
 * The cluster of `docker-compose.yml`, under names, ports and a subnet of its own. Dispose to remove all that it was and
 * made: containers, those of its jobs, networks, volumes and images.
 */
export class ComposeCluster implements AsyncDisposable {
  readonly docker: Docker;
  readonly project = `cm-test-${randomUUID().slice(0, 8)}`;
  /** The project's name is also that of the network that its jobs are in, and of every image made for it. */
  readonly image = `${this.project}:latest`;
  readonly ports: Readonly<Record<Service, number>>;
  readonly subnet = `10.${randomInt(64, 96)}.${randomInt(256)}`;
  readonly jobsSubnet = `10.${randomInt(96, 128)}.${randomInt(256)}`;
  readonly #program: readonly string[];
  readonly #directory = mkdtempSync(join(tmpdir(), 'cm-compose-'));
  #imagesBefore: ReadonlySet<string> = new Set();

  private constructor(docker: Docker, program: string, ports: Readonly<Record<Service, number>>) {
    this.docker = docker;
    this.#program = program.split(' ');
    this.ports = ports;
    writeFileSync(this.#override, JSON.stringify(this.#additions()));
  }

  static async create(docker: Docker, program: string): Promise<ComposeCluster> {
    const ports = { 'node-1': await freePort(), 'node-2': await freePort() };
    const cluster = new ComposeCluster(docker, program, ports);
    cluster.#imagesBefore = new Set(await cluster.#leftOfBuilds());
    return cluster;
  }

  async build(): Promise<void> {
    await this.command(['build', 'node-1'], BUILD_TIMEOUT_MS);
  }

  /** Starts what does not run, and waits until the health checks of both say that they take work. */
  async up(): Promise<void> {
    await this.command(['up', '-d', '--no-build']);
    for (const service of SERVICES) {
      await waitFor(`${service} to be healthy`, HEALTHY_TIMEOUT_MS, async () => {
        const { State } = await (await this.container(service)).inspect();
        if (!State.Running) throw new Error(`${service} ended:\n${(await this.command(['logs'])).stdout}`);
        return State.Health?.Status === 'healthy';
      });
    }
  }

  async command(args: readonly string[], timeout = COMMAND_TIMEOUT_MS): Promise<Output> {
    const [program = '', ...words] = this.#program;
    const files = ['-p', this.project, '-f', 'docker-compose.yml', '-f', this.#override];
    const env = {
      ...process.env,
      CM_IMAGE: this.image,
      CM_PORT_1: String(this.ports['node-1']),
      CM_PORT_2: String(this.ports['node-2']),
      CM_SUBNET: this.subnet,
      CM_JOBS_SUBNET: this.jobsSubnet,
      CM_JOBS_NETWORK: this.project,
      ...(this.#socket === undefined ? {} : { CM_DOCKER_SOCKET: this.#socket }),
    };
    return run(program, [...words, ...files, ...args], { env, timeout, maxBuffer: MAX_OUTPUT_BYTES });
  }

  /** The container that is a service's node now, running or not. */
  async container(service: Service): Promise<Docker.Container> {
    const label = [`com.docker.compose.project=${this.project}`, `com.docker.compose.service=${service}`];
    const [container] = await this.docker.listContainers({ all: true, filters: { label } });
    if (container === undefined) throw new Error(`there is no container of ${service}`);
    return this.docker.getContainer(container.Id);
  }

  /** The network that the nodes are in. */
  get network(): string {
    return `${this.project}_cluster`;
  }

  async addressOf(service: Service, network: string): Promise<string> {
    const { NetworkSettings } = await (await this.container(service)).inspect();
    return NetworkSettings.Networks[network]?.IPAddress ?? '';
  }

  /** The containers that the nodes made for jobs. */
  async jobContainers(): Promise<Docker.ContainerInfo[]> {
    const filters = { network: [this.project], label: ['container-manager.job'] };
    return this.docker.listContainers({ all: true, filters });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.command(['stop', '--timeout', '2']);
    for (const { Id } of await this.jobContainers())
      await this.docker.getContainer(Id).remove({ force: true });
    await this.command(['down', '--volumes', '--remove-orphans']);
    // By their names: who else builds the same has the same image.
    for (const { RepoTags } of await this.docker.listImages({ filters: { reference: [this.project] } }))
      for (const tag of (RepoTags ?? []).filter((name) => name.startsWith(`${this.project}:`)))
        await ignoreMissing(this.docker.getImage(tag).remove({ force: true }));
    const left = (await this.#leftOfBuilds()).filter((id) => !this.#imagesBefore.has(id));
    for (const id of left) await ignoreMissing(this.docker.getImage(id).remove());
    rmSync(this.#directory, { recursive: true });
  }

  /** What the classic builder keeps of the stage that only builds. */
  async #leftOfBuilds(): Promise<string[]> {
    const filters = { dangling: ['true'], label: ['container-manager.stage=build'] };
    return (await this.docker.listImages({ filters })).map(({ Id }) => Id);
  }

  get #override(): string {
    return join(this.#directory, 'override.json');
  }

  get #socket(): string | undefined {
    return /^unix:\/\/(.+)$/.exec(process.env['DOCKER_HOST'] ?? '')?.[1];
  }

  #additions(): object {
    const service = {
      labels: { [TEST_LABEL]: this.project },
      environment: {
        CONTAINER_MANAGER_DEFAULTS_MEMORY: '64m',
      },
      healthcheck: { interval: '1s' },
    };
    return { services: Object.fromEntries(SERVICES.map((name) => [name, service])) };
  }
}

async function ignoreMissing(removal: Promise<unknown>): Promise<void> {
  await removal.catch((error: { statusCode?: number }) => {
    if (error.statusCode !== 404) throw error;
  });
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JobStatus, JobView } from '../../src/api/wire.ts';
import type { SettingKey } from '../../src/config/settings.ts';
import { clusterKeyText } from '../../src/peers/cluster-key.ts';
import { loadIdentity } from '../../src/peers/identity.ts';
import { freePort } from './free-port.ts';
import { NodeHome, type NodeProcess, type StartOptions, rpcCall } from './node-process.ts';
import { waitFor } from './wait-for.ts';

export interface ClusterOptions {
  /** The program to run; see `NodeHomeOptions`. */
  readonly program: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly settings?: Partial<Record<SettingKey, string | number>>;
}

export interface MemberOptions {
  readonly settings?: Partial<Record<SettingKey, string | number>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Where it looks for others; without it, at every member that was added before it. */
  readonly bootstrap?: readonly string[];
  /** Joins by it: the shared key file and `bootstrap` are not for this one. */
  readonly token?: string;
  /** Where peers find it; loopback unless it lives in a network of its own. */
  readonly host?: string;
  readonly launcher?: readonly string[];
}

/** Ten nodes that start at once on a busy machine, ms. */
const CONNECT_LIMIT_MS = 60_000;
const PAGE_SIZE = 1_000;

/** Node processes on this machine that share one cluster key, all ended and removed at the end. */
export class ProcessCluster implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cm-cluster-'));
  readonly key: Uint8Array = randomBytes(32);
  readonly keyFile = join(this.directory, 'cluster.key');
  readonly members: Member[] = [];
  readonly options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.options = options;
    writeFileSync(this.keyFile, clusterKeyText(this.key), { mode: 0o600 });
  }

  /** A member that is not started yet. Its ports stay the same over its lives. */
  async add(options: MemberOptions = {}): Promise<Member> {
    const p2pPort = await freePort();
    const { token, bootstrap = this.members.map(({ address }) => address) } = options;
    const { host = '127.0.0.1', launcher = [] } = options;
    const home = await NodeHome.create({
      program: this.options.program,
      launcher,
      env: { ...this.options.env, ...options.env },
      settings: {
        'peers.enabled': 'true',
        p2p_port: p2pPort,
        'peers.listen_address': host,
        ...(token === undefined ? { cluster_key_file: this.keyFile } : { join: token }),
        ...(token === undefined && bootstrap.length > 0 && { 'peers.bootstrap': bootstrap.join(',') }),
        ...this.options.settings,
        ...options.settings,
      },
    });
    const member = new Member(home, host, p2pPort);
    this.members.push(member);
    return member;
  }

  /** So many more members, started, and connected each with every other. */
  async start(count: number, options: MemberOptions = {}): Promise<Member[]> {
    const added: Member[] = [];
    for (let index = 0; index < count; index += 1) added.push(await this.add(options));
    await Promise.all(added.map((member) => member.start()));
    await untilConnected(this.members.filter(({ isUp }) => isUp));
    return added;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ home }) => home[Symbol.asyncDispose]()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One node over its lives. */
export class Member {
  readonly home: NodeHome;
  readonly host: string;
  readonly p2pPort: number;
  #node: NodeProcess | undefined;

  constructor(home: NodeHome, host: string, p2pPort: number) {
    this.home = home;
    this.host = host;
    this.p2pPort = p2pPort;
  }

  get address(): string {
    return `/ip4/${this.host}/tcp/${this.p2pPort}`;
  }

  /** Its id; it must have been started once. */
  get id(): string {
    return loadIdentity(this.home.identityFile).nodeId;
  }

  get isUp(): boolean {
    return this.#node !== undefined && !this.#node.hasExited;
  }

  /** Its process, of this life. */
  get node(): NodeProcess {
    if (this.#node === undefined) throw new Error('the member was not started yet');
    return this.#node;
  }

  /** Starts it and waits until it is ready. */
  async start(options: StartOptions = {}): Promise<NodeProcess> {
    const node = this.spawn(options);
    await node.untilReady();
    return node;
  }

  /** Starts it and does not wait. */
  spawn(options: StartOptions = {}): NodeProcess {
    this.#node = this.home.spawn(options);
    return this.#node;
  }

  get rpc(): NodeProcess['rpc'] {
    return this.node.rpc.bind(this.node);
  }

  /** The lines of its log, of all its lives, whose message is this. */
  logged(message: string): Record<string, unknown>[] {
    return this.home
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(message))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /**
   * A figure of its `/metrics`, over all labels unless one is given as it is written there; 0 when nothing was counted yet.
   * Fails when the node has no figure of that name.
   */
  async metric(name: string, label = ''): Promise<number> {
    const lines = (await this.node.get('/metrics')).text.split('\n');
    const samples = lines.filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (samples.length === 0 && !lines.some((line) => line.startsWith(`# TYPE ${name} `)))
      throw new Error(`no metric ${name}`);
    return samples
      .filter((line) => line.includes(label))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }
}

/** Resolves with how long it took, ms, once each of these says that it is connected with every other. */
export async function untilConnected(
  members: readonly Member[],
  timeoutMs = CONNECT_LIMIT_MS,
): Promise<number> {
  return waitFor(
    'every member to be connected with every other',
    timeoutMs,
    async () => (await missingPairs(members)).length === 0,
  );
}

export async function connectedWith(member: Member): Promise<ReadonlySet<string>> {
  const { peers } = await member.rpc('PeerService.List', {});
  return new Set(peers.filter(({ status }) => status === 'connected').map(({ node_id }) => node_id));
}

export interface ListQuery {
  readonly all_nodes?: boolean;
  readonly owner?: string;
  readonly states?: JobStatus[];
}

/** The newest so many of `JobService.List`, the newest first; all of them unless it is said how many. */
export async function listJobs(port: number, query: ListQuery = {}, count = Infinity): Promise<JobView[]> {
  const jobs: JobView[] = [];
  for (let cursor: string | undefined; ;) {
    const limit = Math.min(PAGE_SIZE, count - jobs.length);
    const params = { ...query, limit, ...(cursor !== undefined && { cursor }) };
    const page = await rpcCall(port, 'JobService.List', params);
    jobs.push(...page.jobs);
    cursor = page.next_cursor;
    if (cursor === undefined || jobs.length >= count) return jobs;
  }
}

/** Of all jobs that it knows of, sorted. */
export async function idsOn(member: Member): Promise<string[]> {
  return (await listJobs(member.home.port, { all_nodes: true })).map(({ job_id }) => job_id).sort();
}

/** What must be the same on every node, of a job of one owner. */
const SHARED_FACTS = [
  'status',
  'attempt',
  'name',
  'labels',
  'reason',
  'message',
  'exit_code',
  'parent',
  'duplicate_of',
] as const satisfies (keyof JobView)[];

/** These facts, in words; of a job that one of the two knows abridged, without what is left out then. */
function factsOf(job: JobView | undefined, isAbridged: boolean): string {
  if (job === undefined) return 'unknown';
  const facts = SHARED_FACTS.filter((name) => !isAbridged || name !== 'labels');
  return JSON.stringify(Object.fromEntries(facts.map((name) => [name, job[name]])));
}

type Picture = ReadonlyMap<string, JobView>;

/** A key that was used on both sides of a split has given one job to each of two owners. */
const pictureOf = (jobs: readonly JobView[]): Picture =>
  new Map(jobs.map((job) => [`${job.job_id} of ${job.owner}`, job]));

/**
 * What the pictures of these nodes differ in, one line each: of jobs whose owner is among them, from what the owner itself
 * says; of all others, from what the first of them says. Of the newest so many jobs of the cluster alone where a number is
 * given.
 */
async function differences(members: readonly Member[], count = Infinity): Promise<string[]> {
  const owners = new Set(members.map(({ id }) => id));
  const own = await Promise.all(members.map(({ home }) => listJobs(home.port, {}, count)));
  const views = await Promise.all(members.map(({ home }) => listJobs(home.port, { all_nodes: true }, count)));
  const ofOthers = (views[0] ?? []).filter(({ owner }) => !owners.has(owner));
  const expected = [...own.flat(), ...ofOthers];
  const limit = newestFirst(expected.map(placeOf))[count - 1] ?? '';
  const isNewer = (job: JobView): boolean => placeOf(job) > limit;
  return views.flatMap((view, index) =>
    differencesOf(
      pictureOf(expected.filter(isNewer)),
      pictureOf(view.filter(isNewer)),
      members[index]?.id ?? '',
    ),
  );
}

/** As lists are ordered; the time in an id may be some milliseconds earlier. */
const placeOf = ({ created_at, job_id }: JobView): string => `${created_at} ${job_id}`;
const newestFirst = (places: string[]): string[] => places.sort().reverse();

function differencesOf(expected: Picture, seen: Picture, where: string): string[] {
  const ids = new Set([...expected.keys(), ...seen.keys()]);
  return [...ids].flatMap((id) => {
    const isAbridged = expected.get(id)?.abridged === true || seen.get(id)?.abridged === true;
    const [told, owned] = [seen, expected].map((picture) => factsOf(picture.get(id), isAbridged));
    return told === owned ? [] : [`${where}: ${id} is ${told}, and not ${owned}`];
  });
}

/**
 * Resolves with how long it took, ms, once every one of these nodes tells the same of every job, or of the newest so many
 * alone.
 */
export async function untilEqual(
  members: readonly Member[],
  timeoutMs: number,
  count = Infinity,
): Promise<number> {
  let found: string[] = [];
  return waitFor('every node to tell the same', timeoutMs, async () => {
    found = await differences(members, count);
    return found.length === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; ${found.length} differ:\n${found.slice(0, 10).join('\n')}`);
  });
}

/** From the call on, ms. */
export interface Recovery {
  /** Until the first of the pairs that were not connected was; undefined when all were. */
  readonly firstConnectedMs: number | undefined;
  /** Until the last was. */
  readonly connectedMs: number;
  /** Until all told the same of the newest jobs, and were seen to. */
  readonly equalMs: number;
  /** Until they were seen to tell the same of every job, of which one look may take seconds. */
  readonly allEqualMs: number;
}

/** As many jobs as a fault concerns, or more: to compare a long history takes longer than to mend it. */
const NEWEST = 300;

/** All these waits at once, from now on. */
export async function untilRecovered(members: readonly Member[], timeoutMs: number): Promise<Recovery> {
  const startedMs = performance.now();
  let missingBefore: number | undefined;
  let firstConnectedMs: number | undefined;
  const connected = waitFor('every member to be connected with every other', timeoutMs, async () => {
    const missing = (await missingPairs(members)).length;
    missingBefore ??= missing;
    if (missing < missingBefore) firstConnectedMs ??= performance.now() - startedMs;
    return missing === 0;
  });
  const [connectedMs, equalMs] = await Promise.all([connected, untilEqual(members, timeoutMs, NEWEST)]);
  await untilEqual(members, timeoutMs);
  return { firstConnectedMs, connectedMs, equalMs, allEqualMs: performance.now() - startedMs };
}

/** Who is not connected with whom, as each says it of itself. */
async function missingPairs(members: readonly Member[]): Promise<string[]> {
  const sides = await Promise.all(
    members.map(async (member) => ({ id: member.id, connected: await connectedWith(member) })),
  );
  return sides.flatMap(({ id, connected }) =>
    sides
      .filter((other) => other.id !== id && !connected.has(other.id))
      .map((other) => `${id} with ${other.id}`),
  );
}

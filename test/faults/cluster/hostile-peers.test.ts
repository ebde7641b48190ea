import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { encode } from 'cborg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { variableOf } from '../../../src/config/settings.ts';
import { loadIdentity, publicKeyOf } from '../../../src/peers/identity.ts';
import { decodeBatch, encodeBatch, signBatch } from '../../../src/peers/replication/batch.ts';
import { encodeRecord } from '../../../src/peers/replication/log-record.ts';
import type { Statement } from '../../../src/peers/replication/statement.ts';
import { encodeFrame, encodeRequest, SYNC_PROTOCOL } from '../../../src/peers/replication/sync-messages.ts';
import { Ed25519Signing } from '../../../src/peers/signing.ts';
import type { FrameStream } from '../../../src/peers/libp2p/frame-stream.ts';
import { connectedWith, type Member, untilConnected } from '../../support/cluster-processes.ts';
import { PULL_ALL } from '../../support/sync-requests.ts';
import { create, FakeEngineCluster, SHORT_JOB } from '../../support/fake-engine-cluster.ts';
import { boundMs, figure, IS_FULL } from '../../support/figure.ts';
import { frames, HostilePeer } from '../../support/hostile-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { TempDirectory } from '../support/temp-directory.ts';
import { cpuShare, rssBytes, stateOf, timeToTell, TOLD_WITHIN_MS, untilSettled } from './support.ts';

const PATIENCE_MS = 20_000;
const MIB = 1024 ** 2;

let engine: FakeEngineCluster;
let one: Member;
let two: Member;
let cleanUp: AsyncDisposableStack;
beforeAll(async () => {
  cleanUp = new AsyncDisposableStack();
  engine = cleanUp.use(await FakeEngineCluster.make());
  [one, two] = (await engine.start(2)) as [Member, Member];
  for (let count = 0; count < 10; count += 1) await create(count % 2 === 0 ? one : two);
  await untilSettled([one, two]);
});
afterAll(() => cleanUp.disposeAsync());

const violations = async (member: Member): Promise<number> =>
  member.metric('container_manager_replication_faults_total', 'fault="violation"');
/** What was heard by gossip and not taken; nobody looks at the signature of what could bring nothing. */
const dropped = async (member: Member): Promise<number> =>
  (await member.metric('container_manager_gossip_messages_total', 'outcome="reject"')) +
  (await member.metric('container_manager_gossip_messages_total', 'outcome="ignore"'));
const refused = async (member: Member, reason: string): Promise<number> =>
  member.metric('container_manager_peers_refused_total', `reason="${reason}"`);

async function intruder(
  options: Partial<Parameters<typeof HostilePeer.start>[0]> = {},
): Promise<HostilePeer> {
  const peer = await HostilePeer.start({ clusterKey: engine.cluster.key, ...options });
  return cleanUp.use(peer);
}

/** Connects it, and waits until it counts as a member. */
async function admitted(peer: HostilePeer, to: Member): Promise<Connection> {
  const connection = await peer.dial(to.address);
  await peer.join(connection);
  await waitFor('it to be admitted', PATIENCE_MS, async () => (await connectedWith(to)).has(peer.id));
  return connection;
}

/** A statement of an owner, that says whatever a test has it say. */
function statementOf(changes: Partial<Statement>): Omit<Statement, 'owner' | 'root' | 'count'> {
  const digest = Buffer.alloc(32);
  const place = { epoch: 2 ** 50, incarnation: 2 ** 50, tick: 1 };
  return { ...place, from: 0, to: 1, head: 1, floor: 0, digest, card: Buffer.alloc(0), ...changes };
}

/** Signs as whoever holds the key, in the name of whoever is given. */
class Forger extends Ed25519Signing {
  readonly #claimed: Uint8Array | undefined;

  constructor(directory: TempDirectory, claimed?: Uint8Array) {
    super(loadIdentity(directory.file(`key-${randomBytes(4).toString('hex')}`)));
    this.#claimed = claimed;
    if (claimed !== undefined) Object.defineProperty(this, 'publicKey', { value: this.#claimed });
  }
}

const keyOf = (member: Member): Uint8Array => publicKeyOf(member.id) ?? Buffer.alloc(32);

/** A record as a node would have it, of a job that does not exist. */
async function forgedLeaf(seq = 1): Promise<Uint8Array> {
  const id = '01900000-0000-7000-8000-00000000f00d';
  const body = Buffer.from(JSON.stringify({ v: 1, id, state: 'running', spec: { image: 'evil' } }));
  return encodeRecord({ key: id, seq, body });
}

describe('G2: what is told in the name of another', () => {
  let directory: TempDirectory;
  let before: unknown[][];
  beforeAll(() => {
    directory = cleanUp.use(new TempDirectory());
  });
  beforeEach(async () => {
    before = await Promise.all([stateOf(one), stateOf(two)]);
  });

  async function expectNothingTaken(): Promise<void> {
    expect(await Promise.all([stateOf(one), stateOf(two)])).toEqual(before);
    expect(await timeToTell(one, two)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    await untilSettled([one, two]);
  }

  /** Messages that `two` sent itself, as an honest member hears them. */
  async function captured(): Promise<Uint8Array> {
    const peer = await intruder();
    await admitted(peer, two);
    await create(two);
    await waitFor('a message with records', PATIENCE_MS, () =>
      peer.heard.some((message) => decodeBatch(message).records.length > 0),
    );
    const [message] = peer.heard.filter((heard) => decodeBatch(heard).records.length > 0);
    await peer[Symbol.asyncDispose]();
    await untilSettled([one, two]);
    before = await Promise.all([stateOf(one), stateOf(two)]);
    return message ?? Buffer.alloc(0);
  }

  test('by gossip, in every way there is, is dropped and counted', async () => {
    const genuine = decodeBatch(await captured());
    const leaf = await forgedLeaf();
    const forger = new Forger(directory, keyOf(two));
    const garbled = Buffer.from(genuine.signed.signature).fill(7, 10, 20);
    const noKey = new Forger(directory, Buffer.alloc(32, 0xff));
    const forged: Readonly<Record<string, Uint8Array>> = {
      'signed with another key': encodeBatch(signBatch(statementOf({}), [leaf], forger), [leaf]),
      'another signature': encodeBatch({ bytes: genuine.signed.bytes, signature: garbled }, genuine.leaves),
      'other records': encodeBatch(
        genuine.signed,
        genuine.leaves.map(() => leaf),
      ),
      'a key that is none': encodeBatch(signBatch(statementOf({}), [leaf], noKey), [leaf]),
      'a beacon of the far future': encodeBatch(
        signBatch(statementOf({ head: 2 ** 52, from: 2 ** 52, to: 2 ** 52 }), [], forger),
        [],
      ),
    };
    for (const [how, data] of Object.entries(forged)) {
      const peer = await intruder();
      const connection = await admitted(peer, one);
      const countBefore = await dropped(one);
      await peer.send(connection, [{ data }]);
      await waitFor(`it to be counted: ${how}`, PATIENCE_MS, async () => (await dropped(one)) > countBefore);
      await peer[Symbol.asyncDispose]();
    }
    await expectNothingTaken();
  });

  test.each(['Ed25519', 'secp256k1', 'RSA', 'ECDSA'] as const)(
    'with the fields that gossip has for it, signed with an %s key, is not taken',
    async (type) => {
      const leaf = await forgedLeaf();
      const data = encodeBatch(signBatch(statementOf({}), [leaf], new Forger(directory, keyOf(two))), [leaf]);
      const author = await generateKeyPair(type as 'Ed25519');
      const signature = await author.sign(Buffer.concat([Buffer.from('libp2p-pubsub:'), data]));
      const message = { data, seqno: randomBytes(8), key: author.publicKey.raw };
      const peer = await intruder();
      const connection = await admitted(peer, one);
      const countBefore = await dropped(one);
      const authors = [Buffer.from(two.id), keyOf(two), peer.host.peerId.toMultihash().bytes];
      const signatures = [signature, randomBytes(64), Buffer.alloc(0)];
      const forged = authors.flatMap((from) =>
        signatures.map((signed) => ({ ...message, from, signature: signed })),
      );
      for (const each of forged) await peer.send(connection, [each]);
      await waitFor(
        'all of them to be counted',
        PATIENCE_MS,
        async () => (await dropped(one)) >= countBefore + forged.length,
      );
      await peer[Symbol.asyncDispose]();
      await expectNothingTaken();
    },
  );

  // libp2p itself has no peers with ECDSA keys.
  test.each(['secp256k1', 'RSA'] as const)('is not heard at all from a peer with an %s key', async (type) => {
    const privateKey = await (type === 'RSA' ? generateKeyPair(type, 2048) : generateKeyPair(type));
    const peer = await intruder({ privateKey });
    const countBefore = await refused(one, 'not_ed25519');
    const connection = await peer.dial(one.address).catch(() => undefined);
    await waitFor(
      'its refusal to be counted',
      PATIENCE_MS,
      async () => (await refused(one, 'not_ed25519')) > countBefore,
    );
    await waitFor('its end', PATIENCE_MS, () => connection === undefined || connection.status !== 'open');
    expect(await connectedWith(one)).not.toContain(peer.id);
    await peer[Symbol.asyncDispose]();
    await expectNothingTaken();
  });

  test('as the answer to a question is dropped and counted', async () => {
    const genuine = decodeBatch(await captured());
    const leaf = await forgedLeaf();
    const forger = new Forger(directory, keyOf(two));
    const beyond = signBatch(statementOf({}), [leaf], forger);
    const { epoch, head } = genuine.statement;
    const relay = {
      kind: 'relay' as const,
      epoch,
      from: 0,
      to: head,
      statements: [genuine.signed],
      records: [{ statement: 0, index: 0, path: [], leaf }],
    };
    const owner = { kind: 'owner' as const, owner: keyOf(two), newest: genuine.signed, ageMs: 0 };
    const answers: Readonly<Record<string, (stream: FrameStream) => Promise<void>>> = {
      'a batch of somebody else': async (stream) =>
        stream.write(encode([1, genuine.signed.bytes, genuine.signed.signature, genuine.leaves])),
      'a batch that nobody signed': async (stream) =>
        stream.write(encode([1, beyond.bytes, beyond.signature, [leaf]])),
      'an owner that did not say it': async (stream) =>
        stream.write(encodeFrame({ ...owner, newest: beyond })),
      'a record that its owner did not say': async (stream) => {
        await stream.write(encodeFrame(owner));
        await stream.write(encodeFrame(relay));
      },
      'more than its owner said': async (stream) => {
        await stream.write(encodeFrame(owner));
        await stream.write(encodeFrame({ ...relay, to: 2 ** 52, records: [] }));
      },
      'a frame of no kind': async (stream) => stream.write(encode([99])),
      garbage: async (stream) => stream.write(randomBytes(1_000)),
      'a frame that is too long': async (stream) =>
        stream.write(Buffer.alloc(SYNC_PROTOCOL.maxFrameBytes + 1)),
    };
    for (const [what, answer] of Object.entries(answers)) {
      const countBefore = await violations(one);
      const peer = await intruder({ onSync: answer });
      await admitted(peer, one);
      await waitFor(
        `it to be counted: ${what}`,
        PATIENCE_MS,
        async () => (await violations(one)) > countBefore,
      );
      await peer[Symbol.asyncDispose]();
    }
    await expectNothingTaken();
  });
});

const REPLAYED = figure(100, 1_000);

test(
  `G3: ${REPLAYED} messages that are sent again change nothing, at once, later, or after a restart`,
  async () => {
    const listener = await intruder();
    await admitted(listener, one);
    const ids: string[] = [];
    while (listener.heard.length < REPLAYED) {
      ids.push(...(await Promise.all(Array.from({ length: 4 }, () => create(one)))));
      await delay(20);
    }
    await untilSettled([one, two]);
    // What was removed must not come back either.
    for (const job_id of ids.slice(0, 5)) await one.rpc('ContainerService.Remove', { job_id });
    await untilSettled([one, two]);
    const messages = listener.heard.slice(0, REPLAYED);
    await listener[Symbol.asyncDispose]();
    const before = await Promise.all([stateOf(one), stateOf(two)]);
    const creates = engine.driver.calls.create;

    /** At least so many of them are looked at: gossipsub drops by itself what it has seen within half a minute. */
    const replay = async (judgedCount: number): Promise<void> => {
      for (const member of [one, two]) {
        const peer = await intruder();
        const connection = await admitted(peer, member);
        const countBefore = await dropped(member);
        for (const data of messages) await peer.send(connection, [{ data }]);
        // What nobody has seen comes last, and is counted in any case.
        await peer.send(connection, [{ data: randomBytes(100) }]);
        await waitFor(
          'all of them to be counted',
          PATIENCE_MS,
          async () => (await dropped(member)) > countBefore + judgedCount,
        );
        await peer[Symbol.asyncDispose]();
      }
      expect(await Promise.all([stateOf(one), stateOf(two)])).toEqual(before);
      expect(engine.driver.calls.create).toBe(creates);
    };
    await delay(1_000);
    await replay(0);
    if (IS_FULL) {
      await delay(121_000);
      await replay(REPLAYED);
    }
    for (const member of [two, one]) {
      await member.node.kill();
      await member.start();
    }
    await untilConnected([one, two]);
    await replay(REPLAYED);
    expect(engine.duplicates()).toEqual([]);
  },
  figure(120_000, 600_000),
);

const FLOOD = figure(10_000, 100_000);

test(
  `G4: ${FLOOD} messages of one member in ${figure(3, 10)} s: others are heard within 2 s, and it is over when it is over`,
  async () => {
    using directory = new TempDirectory();
    const forger = new Forger(directory);
    // Each is signed and new: nothing is cheaper to send, and nothing takes more of whoever hears it.
    const flood = Array.from({ length: FLOOD }, (_, tick) => ({
      data: encodeBatch(signBatch(statementOf({ tick: tick + 1, from: 0, to: 0, head: 0 }), [], forger), []),
    }));
    // Not before: whoever is busy for so long is taken for dead.
    const peer = await intruder();
    const connection = await admitted(peer, two);
    const { pid } = two.node;
    const rssBefore = rssBytes(pid);
    let rssMost = 0;
    const watch = setInterval(() => (rssMost = Math.max(rssMost, rssBytes(pid))), 50);
    using _watching = { [Symbol.dispose]: () => clearInterval(watch) };
    let sentCount = 0;
    const startedMs = performance.now();
    const sending = (async () => {
      for (let at = 0; at < flood.length; at += 50) {
        await peer.send(connection, flood.slice(at, at + 50));
        sentCount = at;
        const aheadMs = (at / FLOOD) * figure(3_000, 10_000) - (performance.now() - startedMs);
        if (aheadMs > 5) await delay(aheadMs);
      }
    })().catch(() => undefined);
    const delaysMs: number[] = [];
    let isOver = false;
    void sending.then(() => (isOver = true));
    while (!isOver) delaysMs.push(await timeToTell(one, two));
    const floodMs = performance.now() - startedMs;
    const overAtMs = performance.now();
    await waitFor('the node to be at rest', PATIENCE_MS, async () => (await cpuShare(pid)) < 0.25);
    const restMs = performance.now() - overAtMs;
    console.log(
      `flood of ${sentCount} in ${Math.round(floodMs)} ms; told within ${Math.round(Math.max(...delaysMs))} ms ` +
        `(${delaysMs.length} times); at rest after ${Math.round(restMs)} ms; ` +
        `${Math.round(rssBefore / MIB)} MiB before, at most ${Math.round(rssMost / MIB)} MiB`,
    );
    expect(sentCount).toBeGreaterThan(FLOOD / 2);
    expect(Math.max(...delaysMs)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    expect(restMs).toBeLessThan(boundMs(5_000));
    expect(rssMost - rssBefore).toBeLessThan(192 * MIB);
    await peer[Symbol.asyncDispose]();
    await untilSettled([one, two]);
  },
  figure(120_000, 300_000),
);

const SYBILS = figure(20, 100);
/** Redials come once a second. */
const TOGETHER_WITHIN_MS = 2_000;

test(
  `G5: of ${SYBILS} that have the key but are on no list none is let in, and the others stay together`,
  async () => {
    await using guarded = await FakeEngineCluster.make();
    const members: Member[] = [];
    for (let count = 0; count < 3; count += 1) members.push(await guarded.cluster.add());
    for (const { home } of members) mkdirSync(home.dataDir, { recursive: true, mode: 0o700 });
    const allow = members.map(({ id }) => id).join(',');
    await Promise.all(members.map((member) => member.start({ env: { [variableOf('peers.allow')]: allow } })));
    await untilConnected(members);
    const ids = members.map(({ id }) => id);
    await using sybils = new AsyncDisposableStack();
    const hosts: HostilePeer[] = [];
    for (let count = 0; count < SYBILS; count += 1)
      hosts.push(sybils.use(await HostilePeer.start({ clusterKey: guarded.cluster.key })));
    const endMs = performance.now() + figure(3_000, 60_000);
    const admittedOnce = new Set<string>();
    const attack = async (host: HostilePeer): Promise<void> => {
      while (performance.now() < endMs) {
        for (const { address } of members) {
          const connection = await host.dial(address).catch(() => undefined);
          if (connection === undefined) continue;
          await host.join(connection).catch(() => undefined);
          await host.send(connection, [{ data: randomBytes(100) }]).catch(() => undefined);
        }
        await delay(200);
      }
    };
    const watch = async (): Promise<void> => {
      while (performance.now() < endMs) {
        for (const member of members)
          for (const id of await connectedWith(member)) if (!ids.includes(id)) admittedOnce.add(id);
        // One that is busy for long may be taken for dead, and is connected with again at once.
        expect(await untilConnected(members, PATIENCE_MS)).toBeLessThan(boundMs(TOGETHER_WITHIN_MS));
        expect(await timeToTell(members[0] as Member, members[2] as Member)).toBeLessThan(
          boundMs(TOLD_WITHIN_MS),
        );
        await delay(100);
      }
    };
    await Promise.all([watch(), ...hosts.map(attack)]);
    expect([...admittedOnce]).toEqual([]);
    expect(hosts.flatMap(({ heard }) => heard)).toEqual([]);
    for (const member of members) expect(await refused(member, 'not_allowed')).toBeGreaterThan(SYBILS / 4);
    await untilSettled(members);
  },
  figure(120_000, 300_000),
);

describe('a member that', () => {
  async function undisturbed(): Promise<void> {
    expect(await timeToTell(one, two)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    expect(await timeToTell(two, one)).toBeLessThan(boundMs(TOLD_WITHIN_MS));
    for (const member of [one, two]) expect(member.isUp).toBe(true);
  }

  test('sends garbage, halves and too much by gossip disturbs nobody', async () => {
    for (const bytes of [
      randomBytes(10_000),
      Buffer.alloc(0),
      Buffer.alloc(1 * MIB, 0x12),
      Buffer.of(0x12, 0xff),
    ]) {
      const peer = await intruder();
      const connection = await admitted(peer, one);
      const countBefore = await dropped(one);
      // It was read: what comes after it is counted, or nothing is taken from there any more.
      const sending = peer
        .sendRaw(connection, bytes)
        .then(() => peer.send(connection, [{ data: randomBytes(100) }]));
      sending.catch(() => undefined);
      await waitFor(
        'it to be read',
        PATIENCE_MS,
        async () => !peer.isHeard(connection) || (await dropped(one)) > countBefore,
      );
      await undisturbed();
      await peer[Symbol.asyncDispose]();
    }
  });

  test('asks in garbage, halves and frames without end disturbs nobody, and is counted', async () => {
    const countBefore = await violations(one);
    const asks: ((stream: FrameStream) => Promise<void>)[] = [
      (stream) => stream.write(randomBytes(2_000)),
      (stream) => stream.write(encode([1])),
      (stream) => stream.write(encode([2, 'x'.repeat(1_000)])),
      (stream) => stream.write(Buffer.alloc(3 * MIB)),
      // A length, and then nothing.
      (stream) => stream.end(),
    ];
    for (const ask of asks) {
      const peer = await intruder();
      const connection = await admitted(peer, one);
      const stream = frames(await peer.open(connection, SYNC_PROTOCOL.id));
      await ask(stream).catch(() => undefined);
      await stream.read().catch(() => undefined);
      await peer[Symbol.asyncDispose]();
    }
    await undisturbed();
    expect(await violations(one)).toBeGreaterThan(countBefore);
  });

  const STREAMS = figure(1_000, 10_000);
  test(`opens ${STREAMS} streams, asks for everything on each and reads nothing, is bounded`, async () => {
    const peer = await intruder();
    const connection = await admitted(peer, one);
    const { pid } = one.node;
    const rssBefore = rssBytes(pid);
    const request = encodeRequest(PULL_ALL);
    let opened = 0;
    for (let count = 0; count < STREAMS; count += 50) {
      const tries = Array.from({ length: 50 }, async () => {
        const stream = await connection.newStream(SYNC_PROTOCOL.id, {
          maxOutboundStreams: STREAMS * 2,
          signal: AbortSignal.timeout(2_000),
        });
        stream.pause();
        await frames(stream).write(request);
        opened += 1;
      });
      await Promise.allSettled(tries);
      if (connection.status !== 'open') break;
    }
    const grownMib = (rssBytes(pid) - rssBefore) / MIB;
    console.log(`${opened} of ${STREAMS} streams were opened; ${Math.round(grownMib)} MiB more`);
    expect(opened).toBeGreaterThan(SYNC_PROTOCOL.maxInboundStreams);
    // An answer begins on as many as there are places, and on no other.
    const answered = connection.streams.filter(
      ({ protocol, readBufferLength }) => protocol === SYNC_PROTOCOL.id && readBufferLength > 0,
    );
    expect(answered.length).toBeGreaterThan(0);
    expect(answered.length).toBeLessThanOrEqual(SYNC_PROTOCOL.maxInboundStreams);
    expect(grownMib).toBeLessThan(figure(128, 192));
    await undisturbed();
    await peer[Symbol.asyncDispose]();
  });

  test('says that its own log is far in the future is asked for it, and costs nobody anything', async () => {
    using directory = new TempDirectory();
    const forger = new Forger(directory);
    let askedCount = 0;
    const peer = await intruder({
      onSync: (stream) => {
        askedCount += 1;
        return stream.write(encode([5]));
      },
    });
    const connection = await admitted(peer, one);
    const far = statementOf({ from: 2 ** 52, to: 2 ** 52, head: 2 ** 52 });
    await peer.send(connection, [{ data: encodeBatch(signBatch(far, [], forger), []) }]);
    await waitFor('it to be asked', PATIENCE_MS, () => askedCount > 0);
    await delay(2_000);
    // Not again and again: what it says is not what it shows.
    expect(askedCount).toBeLessThan(20);
    await undisturbed();
    expect(await cpuShare(one.node.pid)).toBeLessThan(0.8);
    await peer[Symbol.asyncDispose]();
    await create(one, SHORT_JOB);
    await untilSettled([one, two]);
  });
});

test('what a node has signed and never said shows it that its identity was copied', async () => {
  const copy = new Ed25519Signing(loadIdentity(join(one.home.dataDir, 'identity.key')));
  const peer = await intruder();
  const connection = await admitted(peer, one);
  const later = statementOf({ epoch: 1, from: 0, to: 0, head: 0 });
  await peer.send(connection, [{ data: encodeBatch(signBatch(later, [], copy), []) }]);
  const said = 'two nodes run with one identity';
  await waitFor('it to be said', PATIENCE_MS, () => one.logged(said).length > 0);
  expect(one.logged(said)).toMatchObject([
    { peer: one.id, remedy: expect.stringContaining('identity.key') as string },
  ]);
  const { status, parts } = await one.rpc('SystemService.Health', {});
  expect(status).toBe('degraded');
  expect(JSON.stringify(parts)).toContain(`two nodes run with the identity ${one.id}`);
  await peer[Symbol.asyncDispose]();
});

/** It shows when each of the two asks the others what they have heard of it; who asks whom is chance. */
const COPY_FOUND_WITHIN_MS = 180_000;

for (const count of IS_FULL ? [2, 3] : []) {
  test(`a copied data directory in a cluster of ${count} is found out, and said`, async () => {
    await using copied = await FakeEngineCluster.make();
    const members = await copied.start(count);
    const [owner, other] = members as [Member, Member];
    await create(owner);
    await untilSettled(members);
    const copy = await copied.cluster.add({ bootstrap: [other.address] });
    mkdirSync(copy.home.directory, { recursive: true });
    cpSync(owner.home.dataDir, copy.home.dataDir, { recursive: true });
    await copy.spawn().untilAnswering();
    const took = await waitFor('it to be said', COPY_FOUND_WITHIN_MS, () =>
      [...members, copy].some((member) => member.logged('two nodes run with one identity').length > 0),
    );
    console.log(`a copy in a cluster of ${count} was found out after ${Math.round(took)} ms`);
  }, 240_000);
}

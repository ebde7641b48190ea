import { connect } from 'node:net';
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { type DoorHarness, startDoor } from '../../integration/frontdoor/door-harness.ts';
import { openUpgrade } from '../../support/discon/upgrade.ts';
import { figure } from '../../support/figure.ts';
import { type SeededRandom, seededRandom } from '../support/seed.ts';
import { handshakeFor } from './support/requests.ts';

const GUESSES = figure(1_000, 100_000);
const GUESSERS = 32;
const HEX = '0123456789abcdef';

/** A way to guess at the id of a job that somebody else knows. */
type Guess = (id: string, random: SeededRandom) => string;

const hex = (count: number, random: SeededRandom): string =>
  Array.from({ length: count }, () => random.pick([...HEX])).join('');
const asId = (digits: string): string =>
  digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
const withDigit = (id: string, at: number, digit: string): string =>
  id.slice(0, at) + digit + id.slice(at + 1);

/** What looks like a character, or counts as it where somebody folds text. */
const ALIKE: Readonly<Record<string, string>> = {
  a: '\u0430',
  b: '\u{1d41b}',
  c: '\u0441',
  d: '\u0501',
  e: '\u0435',
  f: '\uff46',
  '-': '\u2010',
  ...Object.fromEntries(
    [...'0123456789'].map((digit) => [digit, String.fromCodePoint(0xff10 + Number(digit))]),
  ),
};

const WAYS: readonly Guess[] = [
  (id, random) => id.slice(0, random.int(1, 35)),
  (id, random) => id.slice(random.int(1, 35)),
  (id) => id.toUpperCase(),
  (id, random) => id.replace(/[a-f]/g, (letter) => (random.next() < 0.5 ? letter.toUpperCase() : letter)),
  (id, random) => {
    const at = random.int(0, 35);
    return withDigit(id, at, ALIKE[id[at] ?? ''] ?? '?');
  },
  (id) => [...id].map((character) => ALIKE[character] ?? character).join(''),
  (id, random) => withDigit(id, random.int(24, 35), random.pick([...HEX])),
  (id) => withDigit(id, 35, HEX[(HEX.indexOf(id[35] ?? '') + 1) % 16] ?? ''),
  // Made in the same millisecond, or a little later.
  (id, random) => `${id.slice(0, 15)}${hex(3, random)}-8${hex(3, random)}-${hex(12, random)}`,
  (id, random) =>
    `${id.slice(0, 11)}${hex(2, random)}-7${hex(3, random)}-b${hex(3, random)}-${hex(12, random)}`,
  (_id, random) => asId(hex(32, random)),
  (id) => id.replaceAll('-', ''),
  (id) => `{${id}}`,
  (id) => `urn:uuid:${id}`,
  (id) => ` ${id}`,
  (id) => `${id} `,
  (id) => `${id}\u200d`,
  (id) => `${id}\0`,
  (id) => `${id}\n`,
  (id) => `${id}/`,
  (id) => `./${id}`,
  (id) => `${id},${id}`,
  (id) => `"${id}"`,
  (id) => `'${id}' OR '1'='1`,
  (id) => `${id.slice(0, 8)}%`,
  (id) => `${id.slice(0, 8)}*`,
  (id) => `^${id.slice(0, 8)}`,
  (id) => encodeURIComponent(encodeURIComponent(id.replace('-', '%2d'))),
  (id) => Buffer.from(id).toString('base64'),
  (id) => [...id].toReversed().join(''),
  (_id, random) =>
    random.pick(['*', '%', '_', '.', '0', '-1', 'null', 'undefined', 'true', 'latest', '[]', '{}']),
  (_id, random) =>
    random.pick(['__proto__', 'constructor', 'toString', 'rosco', 'rosco@2.9.4', 'fake1', 'local']),
];

/** The status that a request for a WebSocket gets; the connection is given up as soon as it is known. */
function ask(port: number, target: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).on('close', () => resolve(0));
  socket.once('data', (chunk: Buffer) => {
    resolve(Number(chunk.toString('latin1', 9, 12)));
    socket.resetAndDestroy();
  });
  socket.write(handshakeFor(target));
  return promise;
}

/** Jobs that run and can be connected to: asked for by people, and made for clients. */
async function startJobs(harness: DoorHarness): Promise<string[]> {
  const created = await Promise.all(
    Array.from({ length: 8 }, () => harness.jobs.create({ healthcheck: { tcp: harness.upstream.port } })),
  );
  for (const { id } of created) await harness.jobs.reach(id, 'running');
  for (const controller of ['own', 'own', 'shared'])
    await openUpgrade({ host: '127.0.0.1', port: harness.port, target: `/ws?controller=${controller}` });
  return [...harness.jobs.log.live()].map(({ id }) => id);
}

test(`F8: of ${GUESSES} guesses at the ids of jobs none leads anywhere`, async () => {
  const harness = await startDoor({ entries: [{ id: 'own' }, { id: 'shared', sharing: 'shared' }] });
  const ids = await startJobs(harness);
  expect(ids).toHaveLength(11);
  for (const id of ids) expect(await ask(harness.port, `/ws?job=${id}`)).toBe(101);

  const random = seededRandom('guesses');
  const ledBefore = harness.upstream.heads.length;
  const statuses = new Map<number, number>();
  const hits: string[] = [];
  let left = GUESSES;
  const guess = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const [id, way] = [random.pick(ids), WAYS[left % WAYS.length] as Guess];
      const text = way(id, random);
      // Some ways come back to the id itself now and then.
      if (ids.includes(text)) continue;
      // Of two the first counts, and an encoded one is the same one.
      const more = left % 7 === 0 ? `&job=${id}` : '';
      const status = await ask(harness.port, `/ws?job=${encodeURIComponent(text)}${more}`);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status !== 400 && status !== 409) hits.push(`${status} ${text}`);
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: GUESSERS }, guess));
  console.log(
    `answered: ${JSON.stringify(Object.fromEntries(statuses))} in ${Math.round(performance.now() - startedMs)} ms`,
  );
  expect(hits).toEqual([]);
  expect(harness.upstream.heads).toHaveLength(ledBefore);
  // Both kinds of answers came: of what is no id, and of what nobody has.
  expect([...statuses.keys()].toSorted()).toEqual([400, 409]);
});

test('F8: the id of something else leads nowhere either', async () => {
  const harness = await startDoor();
  const { jobs, port } = harness;
  const ended = await jobs.create({
    arguments: ['wait', '50', 'exit', '0'],
    healthcheck: { tcp: harness.upstream.port },
  });
  await jobs.reach(ended.id, 'complete');
  const removed = await jobs.create({ arguments: ['exit', '0'] });
  await jobs.reach(removed.id, 'complete');
  await jobs.jobs.remove(removed.id, { force: true });
  const withoutPort = await jobs.create();
  await jobs.reach(withoutPort.id, 'running');
  using _hang = jobs.fake.hang('start');
  const starting = await jobs.create({ healthcheck: { tcp: harness.upstream.port } });
  await jobs.reach(starting.id, 'starting');
  const answers = new Map([
    [ended.id, 409],
    [removed.id, 409],
    [withoutPort.id, 409],
    [starting.id, 409],
    // Of a container, a node, a session, a controller.
    [jobs.instanceId(withoutPort.id), 400],
    [jobs.owner, 400],
    [randomUUID(), 409],
    ['rosco', 400],
  ]);
  for (const [id, status] of answers) expect(await ask(port, `/ws?job=${id}`), id).toBe(status);
  expect(harness.upstream.heads).toEqual([]);
});

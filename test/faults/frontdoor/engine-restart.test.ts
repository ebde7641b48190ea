import { describe, expect, test } from 'vitest';
import type { DisconClient } from '../../support/discon/client.ts';
import { importControllerImage } from '../../support/discon/image.ts';
import { boundMs, figure } from '../../support/figure.ts';
import { PrivateEngine } from '../../support/private-engine.ts';
import { waitFor } from '../../support/wait-for.ts';
import { controller, DoorNode, step } from './support/door-node.ts';
import { EngineNetwork } from './support/engine-network.ts';

/** Of each kind of engine, by SIGTERM and by SIGKILL in turn; in short one by each. */
const ROUNDS = figure(1, 10);
const SOON_MS = 60_000;
/** From the end of a container to that of its client's connection. */
const TOLD_WITHIN_MS = boundMs(1_000);
/** How often a simulator goes on while the engine is away. */
const STEPS_AWAY = 20;

/** An engine that can be restarted, a node, and its clients. */
class Scene implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly engine: PrivateEngine;
  readonly node: DoorNode;

  private constructor(engine: PrivateEngine, node: DoorNode, stack: AsyncDisposableStack) {
    this.#stack = stack;
    this.engine = engine;
    this.node = node;
  }

  static async set(liveRestore: boolean): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const network = stack.use(new EngineNetwork());
    const engine = stack.use(await PrivateEngine.start({ liveRestore, network }));
    const { reference } = await importControllerImage(engine.docker, { type: null });
    const node = await DoorNode.start({
      docker: engine.docker,
      controllers: [
        controller('own', reference),
        controller('shared', reference, { sharing: 'shared' }),
        controller('warm', reference, { warm: 1 }),
      ],
      settings: { 'docker.host': engine.host },
    });
    return new Scene(engine, stack.use(node), stack.move());
  }

  /** One of each kind, in the midst of their work. */
  async connectAll(): Promise<DisconClient[]> {
    const ids = ['own', 'own', 'shared', 'shared'];
    const clients = await Promise.all(ids.map((id) => this.node.connect(id)));
    for (const client of clients) expect(await step(client)).toBe('DISCON called 1 times');
    await this.untilWarm();
    return clients;
  }

  /** Who comes while the engine is away waits for it: for a container to be made, and for one to be woken or replaced. */
  connectLate(): Promise<string[]> {
    const clients = ['own', 'warm'].map(async (id) => step(await this.node.connect(id)));
    const said = Promise.all(clients);
    said.catch(() => undefined);
    return said;
  }

  /** Takes the engine away, as a service manager does or as a crash does. */
  async takeEngineAway(how: 'stop' | 'kill'): Promise<void> {
    await this.engine[how]();
    await waitFor('the node to notice', SOON_MS, async () => {
      return (await this.node.process.get('/ready')).status === 503;
    });
  }

  /** Resolves when nothing is held but one that is kept for whoever comes next. */
  async untilAllIsGone(): Promise<void> {
    this.node.dropAll();
    let left = '';
    await waitFor('all but what is kept warm to be gone', SOON_MS, async () => {
      const held = await this.node.held();
      const { jobs } = await this.node.process.rpc('JobService.List', {});
      left = JSON.stringify([held, jobs.map(({ name, status }) => `${name} ${status}`)]);
      return (
        held.sessions + held.waiting === 0 &&
        held.instances === 1 &&
        held.containers === 1 &&
        jobs.length === 1
      );
    }).catch((error: Error) => {
      throw new Error(`${error.message}: ${left}\n${this.node.home.log().slice(-4_000)}`);
    });
  }

  async untilWarm(): Promise<void> {
    await waitFor('one to be kept warm', SOON_MS, async () => {
      return (await this.node.containers()).some(({ State }) => State === 'paused');
    });
  }

  /** Those that clients use. */
  async used(): Promise<string[]> {
    const containers = await this.node.containers();
    return containers
      .filter(({ State }) => State === 'running')
      .map(({ Id }) => Id)
      .toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const hows = (first: 'stop' | 'kill'): ('stop' | 'kill')[] =>
  Array.from({ length: ROUNDS }, (_, round) => ((round % 2 === 0) === (first === 'stop') ? 'stop' : 'kill'));

describe.concurrent('the engine is restarted in mid-session', () => {
  test('with live restore nobody notices, and who leaves meanwhile takes its container along when it is back', async () => {
    await using scene = await Scene.set(true);
    const { engine } = scene;
    for (const how of hows('kill')) {
      const clients = await scene.connectAll();
      const [leaves, ...stay] = clients;
      const before = await scene.used();
      await scene.takeEngineAway(how);
      leaves?.drop();
      const late = scene.connectLate();
      for (let count = 1; count <= STEPS_AWAY; count += 1)
        for (const client of stay) expect(await step(client)).toBe(`DISCON called ${count + 1} times`);
      await engine.start();
      for (const client of stay) expect(await step(client)).toBe(`DISCON called ${STEPS_AWAY + 2} times`);
      expect(await late).toEqual(['DISCON called 1 times', 'DISCON called 1 times']);
      await waitFor('the one that left to be gone', SOON_MS, async () => {
        const now = await scene.used();
        return before.filter((id) => !now.includes(id)).length === 1;
      });
      for (const client of stay) expect(await step(client)).toBe(`DISCON called ${STEPS_AWAY + 3} times`);
      await scene.untilAllIsGone();
    }
  });

  test('without it every client is told at once when its container ends, and is served again when the engine is back', async () => {
    await using scene = await Scene.set(false);
    const { engine, node } = scene;
    for (const how of hows('stop')) {
      const clients = await scene.connectAll();
      for (const { webSocket } of clients) webSocket.startReading();
      const told = Promise.all(clients.map(({ webSocket }) => webSocket.ended));
      await scene.takeEngineAway(how);
      // One that was killed ends its containers only when it comes up again.
      if (how === 'kill')
        for (const client of clients) expect(await step(client)).toBe('DISCON called 2 times');
      else await expectSoon(told);
      const late = scene.connectLate();
      await engine.start();
      const startedMs = performance.now();
      if (how === 'kill') await expectSoon(told);
      expect(await late).toEqual(['DISCON called 1 times', 'DISCON called 1 times']);
      for (const id of ['own', 'shared', 'warm'])
        expect(await step(await node.connect(id))).toBe('DISCON called 1 times');
      console.log(
        `${how}: new clients were served ${Math.round(performance.now() - startedMs)} ms after it was back`,
      );
      await scene.untilAllIsGone();
    }
  });
});

async function expectSoon(told: Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  await told;
  expect(performance.now() - startedMs).toBeLessThan(TOLD_WITHIN_MS);
}

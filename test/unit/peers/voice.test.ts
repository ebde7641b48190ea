import { describe, expect, it } from 'vitest';
import { decodeStatement } from '../../../src/peers/replication/statement.ts';
import { Voice } from '../../../src/peers/replication/voice.ts';
import { SimulatedCluster } from '../../support/simulated-cluster.ts';

describe('the voice of a node', () => {
  it('knows what it has said, also in the lives before', () => {
    const { log, signing } = new SimulatedCluster({ seed: 1, size: 1 }).nodes[0]!;
    const card = (): Uint8Array => new Uint8Array();
    using voice = new Voice({ incarnation: 10, card }, { log, signing });
    const say = () => decodeStatement(voice.say({ from: 0, to: 0 }, []).bytes);
    const [first, second] = [say(), say()];
    voice.beginLife(20);
    const third = say();
    expect([first, second, third].map(({ incarnation, tick }) => [incarnation, tick])).toEqual([
      [10, 1],
      [10, 2],
      [20, 3],
    ]);
    expect([first, second, third].every((statement) => voice.hasSaid(statement))).toBe(true);
    expect(voice.hasSaid({ incarnation: 10, tick: 3 })).toBe(false);
    expect(voice.hasSaid({ incarnation: 20, tick: 4 })).toBe(false);
    expect(voice.hasSaid({ incarnation: 15, tick: 1 })).toBe(false);
    // Of very many lives only the last ones matter.
    for (let life = 21; life < 90; life += 1) {
      voice.beginLife(life);
      say();
    }
    expect(voice.hasSaid(first)).toBe(false);
    expect(voice.hasSaid({ incarnation: 88, tick: 4 })).toBe(true);
  });
});

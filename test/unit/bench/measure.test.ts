import { describe, expect, test } from 'vitest';
import { lagsOf } from '../../bench/cluster/lags.ts';
import { timeInFlight } from '../../bench/measure/in-flight.ts';
import { interleave } from '../../bench/measure/interleave.ts';
import { rowOf, type Aim, type Round } from '../../bench/measure/row.ts';
import { median, quantile } from '../../bench/measure/statistics.ts';

describe('median', () => {
  test.each([
    [[7], 7],
    [[3, 1, 2], 2],
    [[10, 9, 100, 1], 9.5],
    [[100, 20, 3], 20],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test('leaves the values as they are', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test('of nothing there is none', () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('quantile', () => {
  test.each([
    [[7], 0.99, 7],
    [[3, 1, 2], 0.5, 2],
    [Array.from({ length: 100 }, (_, index) => index + 1), 0.99, 99],
    [[1, Number.POSITIVE_INFINITY], 0.99, Number.POSITIVE_INFINITY],
  ])('of %j, %d, is %d', (values, share, expected) => {
    expect(quantile(values, share)).toBe(expected);
  });

  test('of nothing there is none', () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError);
  });
});

describe('lagsOf', () => {
  const silent = { said: [], heard: [] };

  test('is from each word to its first arrival at each of the others', () => {
    const speaker = {
      said: [
        ['a', 1, 10],
        ['b', 2, 20],
      ] as const,
      heard: [['a', 1, 11]] as const,
    };
    const hearer = {
      said: [],
      heard: [
        ['b', 2, 25],
        ['a', 1, 13],
        ['a', 1, 12],
      ] as const,
    };
    expect(
      lagsOf([
        speaker,
        hearer,
        {
          ...hearer,
          heard: [
            ['a', 1, 14],
            ['b', 2, 21],
          ],
        },
      ]),
    ).toEqual([2, 5, 4, 1]);
  });

  test('takes a later version for an earlier one, and never an earlier for a later', () => {
    const speaker = {
      said: [
        ['a', 1, 10],
        ['a', 3, 20],
      ] as const,
      heard: [],
    };
    expect(lagsOf([speaker, { said: [], heard: [['a', 2, 30]] }])).toEqual([20, Number.POSITIVE_INFINITY]);
    expect(lagsOf([speaker, silent])).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });
});

describe('interleave', () => {
  test('measures both in turn, and forgets the rounds that warm up', async () => {
    const calls: string[] = [];
    let value = 0;
    const measure = (name: string) => async (): Promise<number> => {
      calls.push(name);
      return (value += 1);
    };
    const rounds = await interleave({
      rounds: 2,
      warmUps: 1,
      ours: measure('A'),
      baseline: measure('B'),
      afterEach: async () => void calls.push('-'),
    });
    expect(calls.join('')).toBe('A-B-A-B-A-B-');
    expect(rounds).toEqual([
      { ours: 3, baseline: 4 },
      { ours: 5, baseline: 6 },
    ]);
  });
});

describe('timeInFlight', () => {
  test('does everything once, and never more at a time than it may', async () => {
    const done: number[] = [];
    let busy = 0;
    let mostBusy = 0;
    await timeInFlight(20, 3, async (index) => {
      busy += 1;
      mostBusy = Math.max(mostBusy, busy);
      await new Promise(setImmediate);
      busy -= 1;
      done.push(index);
    });
    expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(mostBusy).toBe(3);
  });
});

describe('rowOf', () => {
  const row = (aim: Aim, rounds: Round[]) =>
    rowOf({ suite: 'some', name: 'some row', unit: '/s', baselineName: 'other', aim, rounds });
  /** A machine that was four times slower for one round: the ratios do not mind. */
  const rounds = [
    { ours: 80, baseline: 100 },
    { ours: 22, baseline: 25 },
    { ours: 90, baseline: 100 },
  ];

  test('takes the medians of both, of the ratios and of the differences', () => {
    const { figure, baseline, ratio, difference } = row({ kind: 'ratio', atLeast: 0.85 }, rounds);
    expect({ figure, baseline, ratio, difference }).toEqual({
      figure: 80,
      baseline: 100,
      ratio: 0.88,
      difference: -10,
    });
  });

  test.each<[Aim, boolean]>([
    [{ kind: 'ratio', atLeast: 0.88 }, true],
    [{ kind: 'ratio', atLeast: 0.89 }, false],
    [{ kind: 'ratio', atMost: 0.88 }, true],
    [{ kind: 'ratio', atMost: 0.87 }, false],
    [{ kind: 'figure', atLeast: 80 }, true],
    [{ kind: 'figure', atLeast: 81 }, false],
    [{ kind: 'difference', below: -9 }, true],
    [{ kind: 'difference', below: -10 }, false],
    [{ kind: 'figure', below: 81 }, true],
    [{ kind: 'figure', below: 80 }, false],
  ])('%j is met: %s', (aim, isMet) => {
    expect(row(aim, rounds).isMet).toBe(isMet);
  });
});

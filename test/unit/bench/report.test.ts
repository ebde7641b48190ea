import { describe, expect, test } from 'vitest';
import { rowOf, type Measurement } from '../../bench/measure/row.ts';
import { readOptions } from '../../bench/options.ts';
import { formatFigure, formatTable } from '../../bench/report/table.ts';

const MEASUREMENTS: readonly Measurement[] = [
  {
    suite: 'status',
    name: 'Status',
    unit: '/s',
    baselineName: 'bare',
    aim: { kind: 'ratio', atLeast: 0.85 },
    rounds: [{ ours: 9_000, baseline: 10_000 }],
  },
  {
    suite: 'latency',
    name: 'Create to running',
    unit: 'ms',
    baselineName: 'engine',
    aim: { kind: 'difference', below: 10 },
    rounds: [{ ours: 165, baseline: 150 }],
  },
  {
    suite: 'start-up',
    name: 'start',
    unit: 'ms',
    baselineName: 'node -e 0',
    aim: { kind: 'figure', below: 300 },
    rounds: [{ ours: 250, baseline: 40 }],
  },
];

describe('formatTable', () => {
  test('shows every row with its aim and whether it is met, in aligned columns', () => {
    expect(formatTable(MEASUREMENTS.map(rowOf)).split('\n')).toEqual([
      '                     ours           baseline  ratio             aim  result',
      'Status             9000/s       bare 10000/s   0.90   ratio >= 0.85  met',
      'Create to running  165 ms      engine 150 ms   1.10  < 10 ms beyond  15.0 ms beyond, NOT MET',
      'start              250 ms  node -e 0 40.0 ms   6.25        < 300 ms  met',
    ]);
  });
});

describe('formatFigure', () => {
  test.each([
    [12_345.6, '/s', '12346/s'],
    [12.345, 'ms', '12.3 ms'],
    [1.234, 'MB', '1.23 MB'],
    [-15.04, 'ms', '-15.0 ms'],
  ] as const)('%d %s is %s', (value, unit, text) => {
    expect(formatFigure(value, unit)).toBe(text);
  });
});

describe('readOptions', () => {
  const suites = ['status', 'create'];

  test('runs everything in full when nothing is said', () => {
    expect(readOptions([], suites)).toEqual({ only: [], isQuick: false, profileDir: undefined });
  });

  test('takes several suites', () => {
    const options = readOptions(['--only', 'status', '--quick', '--only', 'create'], suites);
    expect(options).toEqual({ only: ['status', 'create'], isQuick: true, profileDir: undefined });
  });

  test('says which suites there are when one is not', () => {
    expect(() => readOptions(['--only', 'nothing'], suites)).toThrow('status, create');
  });

  test('refuses what it does not know', () => {
    expect(() => readOptions(['--fast'], suites)).toThrow('--fast');
  });
});

import { defineConfig } from 'vitest/config';
import { figure, IS_FULL } from './test/support/figure.ts';

/** Of a test that does not say otherwise; the full figures take their time. */
const FAULT_TIMEOUT_MS = 300_000;

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: figure(20_000, FAULT_TIMEOUT_MS),
          // One project after the other: those that measure time are not measured beside others.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: figure(60_000, FAULT_TIMEOUT_MS),
          sequence: { groupOrder: 2 },
          hookTimeout: 120_000,
          // One engine serves every file; two at a time keeps two cores busy without starving either.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'cluster-faults',
          include: ['test/faults/cluster/**/*.test.ts'],
          testTimeout: FAULT_TIMEOUT_MS,
          // Beside those of the integration: what they measure leaves room for a machine that has other things to do. In
          // full it does not, and they come by themselves.
          sequence: { groupOrder: figure(2, 3) },
          hookTimeout: 120_000,
          maxWorkers: 2,
          fileParallelism: !IS_FULL,
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/{node,store,frontdoor}/**/*.test.ts'],
          testTimeout: FAULT_TIMEOUT_MS,
          // As those of the cluster are.
          sequence: { groupOrder: figure(2, 4) },
          hookTimeout: 120_000,
          maxWorkers: 2,
          fileParallelism: !IS_FULL,
        },
      },
    ],
  },
});

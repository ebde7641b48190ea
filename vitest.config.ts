import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 20_000,
          // One project after the other: those that measure time are not measured beside others.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 60_000,
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
          testTimeout: 300_000,
          // Beside those of the integration: what they measure leaves room for a machine that has other things to do.
          sequence: { groupOrder: 2 },
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'faults',
          include: ['test/faults/{node,store}/**/*.test.ts'],
          testTimeout: 300_000,
          sequence: { groupOrder: 3 },
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

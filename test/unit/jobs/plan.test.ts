import { describe, expect, it } from 'vitest';
import { newJobId, type NodeId } from '../../../src/kernel/ids.ts';
import { markOf } from '../../../src/jobs/instance-labels.ts';
import { planInstance } from '../../../src/jobs/plan.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { TEST_DEFAULTS } from '../../support/job-harness.ts';

const mark = { cluster: 'c', owner: 'n' as NodeId, job: newJobId(0), attempt: 3, spec: 's' };

describe('a plan', () => {
  it('fills in the defaults, and is named and marked after its job', () => {
    const plan = planInstance(
      jobSpecSchema.parse({ image: 'nginx', labels: { team: 'a' } }),
      mark,
      TEST_DEFAULTS,
    );
    expect(plan).toMatchObject({
      name: `cm-${mark.job}`,
      memoryBytes: TEST_DEFAULTS.memoryBytes,
      cpus: TEST_DEFAULTS.cpus,
      pids: TEST_DEFAULTS.pids,
      network: TEST_DEFAULTS.network,
    });
    expect(plan.labels['team']).toBe('a');
    expect(markOf(plan.labels)).toEqual(mark);
  });

  it('takes what the spec says', () => {
    const spec = jobSpecSchema.parse({
      image: 'nginx',
      arguments: ['-x'],
      env: { A: '1' },
      entrypoint: ['/run'],
      resources: { memory: '1g', cpu: 2, pids: 9 },
      ports: [{ container: 80, host: 8081 }],
      healthcheck: { test: ['curl', 'localhost'] },
      stop_signal: 'SIGINT',
      user: '1000:1000',
      working_dir: '/srv',
      network: 'none',
      drop_capabilities: true,
      read_only: true,
    });
    expect(planInstance(spec, mark, TEST_DEFAULTS)).toMatchObject({
      arguments: ['-x'],
      env: { A: '1' },
      entrypoint: ['/run'],
      memoryBytes: 1024 ** 3,
      cpus: 2,
      pids: 9,
      ports: [{ containerPort: 80, hostPort: 8081, protocol: 'tcp', hostAddress: '127.0.0.1' }],
      healthcheck: { command: ['curl', 'localhost'], intervalMs: 5_000, retries: 3 },
      stopSignal: 'SIGINT',
      user: '1000:1000',
      workingDir: '/srv',
      network: 'none',
      hasCapabilities: false,
      files: { writable: [] },
    });
  });
});

import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RpcClient } from '../../../src/api/client.ts';
import { interleave } from '../measure/interleave.ts';
import { rowOf } from '../measure/row.ts';
import { shippedProgram, startProgram, timeProcess } from '../program.ts';
import type { BenchContext, Suite } from '../suite.ts';

const run = promisify(execFile);

/** From the start of a process until it tells the status of a job that another node has. */
export const clusterJoin: Suite = {
  name: 'cluster-join',
  title: 'a peer’s job, from the start of the node',
  run: async (context) => {
    const program = shippedProgram(context);
    const dataDir = mkdtempSync(join(context.workDir, 'node-'));
    await using first = await startProgram(context, program, { dataDir });
    await first.untilAnswering();
    const client = new RpcClient({ address: `127.0.0.1:${first.port}` });
    await client.call('QueueService.Pause', {});
    const spec = { image: 'nginx', arguments: [], resources: {}, env: {} };
    const { job_id } = await client.call('ContainerService.Create', spec);
    const { stdout } = await run(process.execPath, [program, 'cluster', 'token', '--data-dir', dataDir]);
    const token = stdout.trim();
    const rounds = await interleave({
      rounds: context.isQuick ? 3 : 9,
      warmUps: 1,
      ours: () => timeJoin(context, { program, token, jobId: job_id }),
      baseline: () => timeProcess(['-e', '0']),
      onRound: (done, total) => context.progress.step(`start ${done + 1} of ${total}`),
    });
    return [
      rowOf({
        suite: clusterJoin.name,
        name: 'start with --join to a peer’s job',
        unit: 'ms',
        baselineName: 'node -e 0',
        aim: { kind: 'figure', below: 600 },
        rounds,
      }),
    ];
  },
};

async function timeJoin(
  context: BenchContext,
  { program, token, jobId }: { program: string; token: string; jobId: string },
): Promise<number> {
  const startedMs = performance.now();
  await using node = await startProgram(context, program, { flags: ['--join', token] });
  const client = new RpcClient({ address: `127.0.0.1:${node.port}` });
  await node.until(async () => {
    const status = await client.call('ContainerService.Status', { job_id: jobId }).catch(() => undefined);
    return status?.status === 'pending';
  });
  return performance.now() - startedMs;
}

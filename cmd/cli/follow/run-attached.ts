import type { RpcClient } from '../../../src/api/client.ts';
import { messageOf } from '../../../src/kernel/errors.ts';
import { ExitRequest } from '../cli-error.ts';
import { exitCodeOfJob } from '../exit-codes.ts';
import type { Terminal } from '../screen/terminal.ts';
import { JobFollower } from './follow-job.ts';
import { onInterrupts } from './interrupts.ts';

/**
 * Follows a job to its end, and ends with its exit code. The first Ctrl-C stops the job (or cancels it, while it does
 * not run yet) and goes on following; a second one, or SIGTERM, leaves it to the node.
 */
export async function runAttached(client: RpcClient, jobId: string, terminal: Terminal): Promise<never> {
  const leaving = new AbortController();
  const follower = new JobFollower(client, jobId, terminal);
  let exitCode: number | undefined;
  using _interrupts = onInterrupts({
    onFirst: () => {
      void follower.say('stopping the job; Ctrl-C again leaves it to the node');
      endJob(client, jobId).catch((error: unknown) =>
        follower.say(`it cannot be stopped: ${messageOf(error)}`),
      );
    },
    onLeave: (code) => {
      exitCode = code;
      leaving.abort();
    },
  });
  const job = await follower.follow(leaving.signal);
  if (job !== undefined) throw new ExitRequest(exitCodeOfJob(job));
  await follower.say(`left the job to the node; it is stopped with: container-manager stop ${jobId}`);
  // What is still being read of its output must not hold the process.
  process.exit(exitCode);
}

async function endJob(client: RpcClient, job_id: string): Promise<void> {
  const { status } = await client.call('JobService.Get', { job_id });
  const isUp = status === 'running' || status === 'stopping';
  await (isUp
    ? client.call('ContainerService.Stop', { job_id })
    : client.call('JobService.Cancel', { job_id }));
}

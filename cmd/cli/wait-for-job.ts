import { RpcError, type RpcClient } from '../../src/api/client.ts';
import type { JobView } from '../../src/api/wire.ts';

/** One call waits no longer, so that a node that went away unseen is noticed. */
const SLICE_MS = 30_000;
/** How much longer the answer itself may take. */
const ANSWER_MS = 10_000;

/** Resolves with the job once it has ended or, with `until: 'running'`, is up. Fails with `timeout` after `timeout` ms. */
export async function waitForJob(
  client: RpcClient,
  job_id: string,
  options: { readonly until: 'running' | 'ended'; readonly timeout?: number },
): Promise<JobView> {
  const { until, timeout = Number.POSITIVE_INFINITY } = options;
  const endMs = performance.now() + timeout;
  for (;;) {
    const leftMs = Math.max(0, endMs - performance.now());
    const sliceMs = Math.ceil(Math.min(SLICE_MS, leftMs));
    try {
      const params = { job_id, until, timeout_ms: sliceMs };
      return await client.call('JobService.Wait', params, { timeoutMs: sliceMs + ANSWER_MS });
    } catch (error) {
      const isOver = performance.now() >= endMs;
      if (!(error instanceof RpcError) || !isOwnTimeout(error) || isOver) throw error;
    }
  }
}

/** The node says that the time is over; not that the node itself took too long. */
function isOwnTimeout({ code, rpcCode }: RpcError): boolean {
  return code === 'timeout' && rpcCode !== undefined;
}

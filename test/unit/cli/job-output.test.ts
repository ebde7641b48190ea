import { expect, it } from 'vitest';
import { JobOutput } from '../../../cmd/cli/follow/job-output.ts';
import type { RpcClient } from '../../../src/api/client.ts';
import type { LogEntry } from '../../../src/api/wire.ts';

interface Written extends LogEntry {
  readonly at: string;
}

/** The log of a container that has ended, as the engine keeps and reads it. */
function readerOf(log: readonly Written[]): Pick<RpcClient, 'call' | 'streamLogs'> {
  const lastLines = ({ tail }: { tail?: number }): { entries: LogEntry[] } => ({
    entries: log
      .slice(-(tail ?? log.length))
      .map(({ stream, line, at }) => ({ stream, line: `${at} ${line}` })),
  });
  return {
    call: (_method, params) => Promise.resolve(lastLines(params as { tail?: number }) as never),
    async *streamLogs(_jobId, { since = '' } = {}) {
      for (const { stream, line, at } of log)
        if (Date.parse(at) >= (Date.parse(since) || 0)) yield { stream, line };
    },
  };
}

it('hands out each line once when the two outputs were written out of order, a millisecond apart', async () => {
  const log: Written[] = [
    { stream: 'stdout', line: 'out', at: '2026-01-01T00:00:00.005001Z' },
    { stream: 'stderr', line: 'err', at: '2026-01-01T00:00:00.004999Z' },
  ];
  const isOver = new AbortController();
  const seen: string[] = [];
  const output = new JobOutput(readerOf(log), 'job', (entry) => {
    seen.push(entry.line);
    // Over as soon as all has been read once.
    if (seen.length === log.length) setImmediate(() => isOver.abort());
    return Promise.resolve();
  });
  await output.follow(isOver.signal);
  expect(seen).toEqual(['out', 'err']);
});

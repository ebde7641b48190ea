import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MissingProgramError } from './programs.ts';

const run = promisify(execFile);

export interface Load {
  readonly url: string;
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
}

interface Summary {
  readonly requests: number;
  readonly microseconds: number;
  readonly failures: number;
}

/** wrk's own script language: the request is made once, and what came of it is printed as JSON. */
function script(body: string): string {
  return `
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = ${JSON.stringify(body)}
function done(summary, latency, requests)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\n{"requests":%d,"microseconds":%d,"failures":%d}\\n', summary.requests, summary.duration, failures))
end
`;
}

/** Posts the same body over kept-alive connections as fast as it is answered, from one thread of a process of its own. */
export async function postRepeatedly(
  load: Load,
  workDir: string,
): Promise<{ perSecond: number; requests: number }> {
  const file = join(workDir, 'post.lua');
  writeFileSync(file, script(load.body));
  const args = ['-t1', `-c${load.connections}`, `-d${load.seconds}s`, '-s', file, load.url];
  const { stdout } = await run('wrk', args, { timeout: (load.seconds + 30) * 1000 }).catch(
    (error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new MissingProgramError('wrk') : error;
    },
  );
  const { requests, microseconds, failures } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Summary;
  if (failures > 0) throw new Error(`${failures} of ${requests} requests to ${load.url} failed`);
  return { perSecond: (requests / microseconds) * 1e6, requests };
}

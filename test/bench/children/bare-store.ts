import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { newJobId } from '../../../src/kernel/ids.ts';
import { SecretBox } from '../../../src/kernel/secret-box.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { jobSpecSchema } from '../../../src/jobs/spec.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { encodeBody, encodeSpec } from '../../../src/store/job-row.ts';
import { prepareStatements } from '../../../src/store/statements.ts';
import { serveParent } from './parent.ts';

/**
 * What durability alone costs: bare HTTP that writes the rows of a new job, whatever it is asked, in one transaction
 * for all requests of a turn. Nothing is checked, nobody is told, and no job is kept in memory.
 */
export interface BareStoreStart {
  readonly directory: string;
  readonly spec: object;
}

const OWNER = '12D3KooWBaREstoreBaREstoreBaREstoreBaREstoreBaREstore11' as NodeId;

let insert: (ids: readonly string[]) => void = () => undefined;
let waiting: ServerResponse[] = [];

function commit(): void {
  const responses = waiting;
  waiting = [];
  const ids = responses.map(() => newJobId(Date.now()));
  insert(ids);
  for (const [index, response] of responses.entries()) {
    const result = { job_id: ids[index], message: 'Job created successfully' };
    const text = JSON.stringify({ jsonrpc: '2.0', result, id: 1 });
    response.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', String(text.length)]);
    response.end(text);
  }
}

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    waiting.push(response);
    if (waiting.length === 1) setImmediate(commit);
  });
});
const listening = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

serveParent(
  {
    listen: async ({ directory, spec }: BareStoreStart) => {
      const database = openDatabase(join(directory, 'jobs.db'));
      const statements = prepareStatements(database);
      const texts = textsOf(spec);
      let seq = 0;
      insert = (ids) => {
        database.exec('BEGIN IMMEDIATE');
        const nowMs = Date.now();
        for (const id of ids) {
          seq += 1;
          statements.insertJob.run(
            id, OWNER, 1, seq, 'pending', null, nowMs, null, null, texts.spec, texts.body, seq,
          ); // prettier-ignore
          statements.insertEvent.run(seq, 1, id, texts.event, seq);
        }
        database.exec('COMMIT');
      };
      await listening;
      return (server.address() as AddressInfo).port;
    },
  },
  async () => void server.close(),
);

/** As long as the real ones. */
function textsOf(given: object): { spec: string; body: string; event: string } {
  const {
    idempotency_key: _key,
    wait_ms: _wait,
    placement: _placement,
    ...spec
  } = jobSpecSchema.parse(given);
  const job = { spec, caller: 'local', desire: 'run', attempt: 1, restarts: 0, updatedAtMs: Date.now() };
  return {
    spec: encodeSpec(spec, new SecretBox(Buffer.alloc(32)), ''),
    body: encodeBody(job as unknown as Job),
    event: JSON.stringify({ type: 'pending', atMs: Date.now(), attempt: 1 }),
  };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RpcClient } from '../../../src/api/client.ts';
import { MIN_SHORT_ID_LENGTH, resolveJobId, shortIds } from '../../../cmd/cli/job-ids.ts';
import { shortNodeIds } from '../../../cmd/cli/node-ids.ts';
import { newJobId } from '../../../src/kernel/ids.ts';

const ONE = '01a1fd1c-049a-7bfa-b908-9e1db94afd1d';
const SAME_MS = '01a1fd1c-049a-7bfa-b988-000000000000';
const LATER = '01a1fd1c-0512-76b6-ae64-8f1b899dc419';

describe('shortIds', () => {
  it('shows the time of an id where that tells it from the others', () => {
    expect([...shortIds([ONE, LATER]).values()]).toEqual(['01a1fd1c-049a', '01a1fd1c-0512']);
  });

  it('shows as much more as is needed', () => {
    expect([...shortIds([SAME_MS, ONE]).values()]).toEqual([
      '01a1fd1c-049a-7bfa-b90',
      '01a1fd1c-049a-7bfa-b98',
    ]);
  });

  it('is unique, a beginning of the id, and long enough, for any set of ids', () => {
    const ids = fc.array(
      fc.integer({ min: 0, max: 3 }).map((ms) => newJobId(ms)),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(ids, (some) => {
        const short = shortIds(some);
        expect(new Set(short.values()).size).toBe(new Set(some).size);
        for (const [id, text] of short) {
          expect(id.startsWith(text)).toBe(true);
          expect(text.length).toBeGreaterThanOrEqual(MIN_SHORT_ID_LENGTH);
          expect(some.filter((other) => other.startsWith(text) && other !== id)).toEqual([]);
        }
      }),
    );
  });
});

describe('resolveJobId', () => {
  const asked: unknown[] = [];
  const clientWith = (...ids: string[]): RpcClient =>
    ({
      call: (_method: string, params: { id_prefix: string }) => {
        asked.push(params);
        const jobs = ids.filter((id) => id.startsWith(params.id_prefix));
        return Promise.resolve({ jobs: jobs.map((job_id) => ({ job_id, status: 'running', image: 'app' })) });
      },
    }) as unknown as RpcClient;

  it('does not ask about a whole id, in whatever case', async () => {
    asked.length = 0;
    expect(await resolveJobId(clientWith(), ONE.toUpperCase())).toBe(ONE);
    expect(asked).toEqual([]);
  });

  it('completes a beginning that one job has', async () => {
    expect(await resolveJobId(clientWith(ONE, LATER), '01a1fd1c-05')).toBe(LATER);
  });

  it('lists the candidates of one that several have', async () => {
    const failure = resolveJobId(clientWith(ONE, LATER), '01a1');
    await expect(failure).rejects.toMatchObject({
      code: 'usage',
      nextStep: 'give more characters of the id',
    });
    await expect(failure).rejects.toThrow(new RegExp(`${ONE}.*\n.*${LATER}`));
  });

  it.each(['zzz', '', '01a1fd1c-049a-7bfa-b908-9e1db94afd1d0', '../x', 'ff'])(
    'says of %j that there is no such job',
    async (text) => {
      await expect(resolveJobId(clientWith(ONE), text)).rejects.toMatchObject({ code: 'not_found' });
    },
  );
});

describe('shortNodeIds', () => {
  it('shows the end of an id, and as much of it as tells it from the others', () => {
    expect([
      ...shortNodeIds(['12D3KooWaaaaX12345678', '12D3KooWbbbbY12345678', '12D3KooWcccc00000000']),
    ]).toEqual([
      ['12D3KooWaaaaX12345678', 'X12345678'],
      ['12D3KooWbbbbY12345678', 'Y12345678'],
      ['12D3KooWcccc00000000', '00000000'],
    ]);
    expect([...shortNodeIds(['node-1', 'x-node-1']).values()]).toEqual(['node-1', 'x-node-1']);
  });
});

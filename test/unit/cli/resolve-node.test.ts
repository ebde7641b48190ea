import { describe, expect, it } from 'vitest';
import { resolveNodeId } from '../../../cmd/cli/resolve-node.ts';
import type { RpcClient } from '../../../src/api/client.ts';

const SELF = `12D3KooW${'A'.repeat(44)}`;
const OTHER = `12D3KooW${'B'.repeat(44)}`;
const THIRD = `12D3KooW${'C'.repeat(44)}`;

const client = {
  call: (method: string) =>
    Promise.resolve(
      method === 'PeerService.Identity'
        ? { node_id: SELF, cluster_id: 'x', name: 'node-1', addresses: [] }
        : {
            peers: [
              { node_id: OTHER, name: 'node-2' },
              { node_id: THIRD, name: 'node-2' },
            ],
          },
    ),
} as unknown as RpcClient;

describe('resolveNodeId', () => {
  it('knows the node that is asked as it knows the others', async () => {
    expect(await resolveNodeId(client, 'node-1')).toBe(SELF);
    expect(await resolveNodeId(client, 'AAAA')).toBe(SELF);
    expect(await resolveNodeId(client, 'BBBB')).toBe(OTHER);
  });

  it('leaves a whole id as it is', async () => {
    const unknown = `12D3KooW${'D'.repeat(44)}`;
    expect(await resolveNodeId(client, unknown)).toBe(unknown);
  });

  it('refuses a text that several nodes answer to, or none', async () => {
    await expect(resolveNodeId(client, 'node-2')).rejects.toThrow(/several nodes answer to "node-2"/);
    for (const text of ['', 'node-9'])
      await expect(resolveNodeId(client, text)).rejects.toMatchObject({ code: 'not_found' });
  });
});

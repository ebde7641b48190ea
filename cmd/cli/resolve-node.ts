import type { RpcClient } from '../../src/api/client.ts';
import type { PeerView } from '../../src/api/wire.ts';
import { CodedError } from '../../src/kernel/errors.ts';
import { isNodeId } from '../../src/kernel/peer-address.ts';
import { UsageError } from './cli-error.ts';
import { PROGRAM } from './cli.ts';
import { printable } from './screen/printable.ts';

/** What an argument that names another node is. */
export const NODE_ARGUMENT = 'id of another node, an end of it that no other has, or the name of its host';

type Named = Pick<PeerView, 'node_id' | 'name'>;

/** Nodes listed for a text that several answer to. */
const MAX_CANDIDATES = 10;

class NoSuchNodeError extends CodedError<'not_found'> {
  override readonly name = 'NoSuchNodeError';

  constructor(text: string) {
    super('not_found', `no node is known by ${JSON.stringify(text)}`, {
      details: { next_step: `see the nodes that are known: ${PROGRAM} peers` },
    });
  }
}

/** The id that `text` is, ends, or is the host's name of, be it that of the node that is asked. A whole id is not looked up: it may be one to come. */
export async function resolveNodeId(client: RpcClient, text: string): Promise<string> {
  if (isNodeId(text)) return text;
  const [self, { peers }] = await Promise.all([
    client.call('PeerService.Identity', {}),
    client.call('PeerService.List', {}),
  ]);
  const nodes: readonly Named[] = [self, ...peers];
  const named = nodes.filter(({ name }) => name === text);
  const found =
    named.length > 0 || text === '' ? named : nodes.filter(({ node_id }) => node_id.endsWith(text));
  const [first, second] = found;
  if (first === undefined) throw new NoSuchNodeError(text);
  if (second === undefined) return first.node_id;
  const listed = found
    .slice(0, MAX_CANDIDATES)
    .map(({ node_id, name = '' }) => `  ${printable(`${node_id}  ${name}`).trimEnd()}`);
  const more = found.length > MAX_CANDIDATES ? ['  and more'] : [];
  throw new UsageError(
    [`several nodes answer to ${JSON.stringify(text)}:`, ...listed, ...more].join('\n'),
    'give the whole id',
  );
}

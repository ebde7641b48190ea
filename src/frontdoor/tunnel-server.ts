import type { ControllerQuery, Resolution } from '../catalog/selection.ts';
import type { NodeId } from '../kernel/ids.ts';
import type { FrontDoor } from './front-door.ts';
import type { Channel, Opened, Wish } from './opening.ts';
import type { Refusal } from './refusal.ts';
import { refusalOf } from './refused.ts';
import { TunnelChannel } from './tunnel-channel.ts';
import {
  decodeTunnelRequest,
  encodeTunnel,
  refusedReplyOf,
  type TunnelReply,
  type TunnelRequest,
} from './tunnel-messages.ts';
import type { TunnelNetwork, TunnelStream } from './tunnel-network.ts';

export interface TunnelServerDependencies {
  readonly network: TunnelNetwork;
  readonly door: Pick<FrontDoor, 'serveRemote'>;
  readonly catalog: { resolve(query: ControllerQuery): Resolution };
  /** Whether the image of an entry is here. */
  readonly hasImage: (reference: string, signal: AbortSignal) => Promise<boolean>;
  /** How many more instances there may be; 0 while none is made. */
  readonly room: () => number;
}

/** Answers what other nodes ask for their clients: whether this one would, and to be led to its containers. */
export function serveTunnels(deps: TunnelServerDependencies): void {
  deps.network.handle(async (stream, from, signal) => {
    const request = decodeTunnelRequest(await stream.read());
    if (request.kind === 'ask') await stream.write(encodeTunnel(await offerFor(request, deps, signal)));
    else await carry(stream, wishOf(request, from), deps, signal);
  });
}

async function offerFor(
  { query }: TunnelRequest,
  { catalog, hasImage, room }: TunnelServerDependencies,
  signal: AbortSignal,
): Promise<TunnelReply> {
  try {
    const { controller } = catalog.resolve(query);
    if (await hasImage(controller.image, signal)) return { kind: 'offer', room: room() };
    return refusedReplyOf({ status: 503, text: `image ${controller.image} is not here` });
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return refusedReplyOf(refusal);
  }
}

async function carry(
  stream: TunnelStream,
  wish: Wish,
  { door }: TunnelServerDependencies,
  signal: AbortSignal,
): Promise<void> {
  const answer = async (outcome: Opened | Refusal): Promise<Channel | undefined> => {
    if ('status' in outcome) {
      await stream.write(encodeTunnel(refusedReplyOf(outcome)));
      return undefined;
    }
    const { fields, controller, job, head } = outcome;
    const named = controller === undefined ? {} : { controller };
    await stream.write(encodeTunnel({ kind: 'opened', fields: [...fields], job, ...named }));
    const channel = new TunnelChannel(stream);
    if (head.length > 0) channel.write(head);
    return channel;
  };
  await door.serveRemote(wish, signal, answer);
}

/** The client is whom the other node says it is: it has let that in. */
function wishOf(request: TunnelRequest & { kind: 'open' }, from: NodeId): Wish {
  const { query, key, passed_on: passedOn, client } = request;
  return { query, handshake: { key, passedOn }, client: `${client} via ${from}` };
}

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveParent } from './parent.ts';

/** The floor: Node's own HTTP, a body that is read and not looked at, an answer that is always the same. */
export interface BareReply {
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly text: string;
}

let reply: BareReply = { headers: [], text: '' };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.writeHead(200, [...reply.headers]);
    response.end(reply.text);
  });
});
const listening = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

serveParent(
  {
    listen: async (given: BareReply) => {
      reply = given;
      await listening;
      return (server.address() as AddressInfo).port;
    },
  },
  async () => void server.close(),
);

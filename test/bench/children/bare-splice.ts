import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { serveParent } from './parent.ts';

/** The floor: sockets of Node's, one passed on to the other, heads and all, by nothing but `data` and `write`. */
export interface BareSplice {
  readonly echoPort: number;
}

function splice(from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  from.on('drain', () => to.resume());
  from.on('end', () => to.end());
  from.on('close', () => to.destroy());
  from.on('error', () => undefined);
}

let echoPort = 0;
const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = connect({ host: '127.0.0.1', port: echoPort, noDelay: true, allowHalfOpen: true });
  splice(client, upstream);
  splice(upstream, client);
});
const listening = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));

serveParent(
  {
    start: async (options: BareSplice) => {
      echoPort = options.echoPort;
      await listening;
      return (server.address() as AddressInfo).port;
    },
  },
  async () => void server.close(),
);

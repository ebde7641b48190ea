import { parseArgs } from 'node:util';
import { Libp2pCluster } from './libp2p-harness.ts';

/** A peer in a process of its own: says where it is, answers what it hears with the same, and stays until it is ended. */
const { values } = parseArgs({
  options: { key: { type: 'string' }, bootstrap: { type: 'string' }, mdns: { type: 'boolean' } },
});
const cluster = new Libp2pCluster();
const { network, address } = await cluster.start({
  clusterKey: Buffer.from(values.key ?? '', 'hex'),
  bootstrap: values.bootstrap === undefined ? [] : [values.bootstrap],
  mdns: values.mdns ?? false,
  ...(values.mdns === true && { listenAddress: '0.0.0.0' }),
});
network.onGossip(() => 'accept');
process.stdout.write(`${address}\n`);
setInterval(() => network.publish(Buffer.from(`${process.pid} ${performance.now()}`)), 50);

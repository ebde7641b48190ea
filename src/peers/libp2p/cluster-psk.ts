import { hkdfSync } from 'node:crypto';

const PSK_BYTES = 32;
/** Fixed for good: nodes that derive another key never meet. */
const PURPOSE = 'container-manager private network 1';

/**
 * The key of libp2p's private network, in the form it is written in (specs pnet/Private-Networks-PSK-V1.md). It follows from the
 * cluster's key, which itself is never used for anything but to derive others. Fails without a key: a node without one would be
 * open to everybody.
 */
export function clusterPsk(clusterKey: Uint8Array): Uint8Array {
  if (clusterKey.length !== PSK_BYTES)
    throw new Error(
      `no private network without a cluster key of ${PSK_BYTES} bytes; there are ${clusterKey.length}`,
    );
  const psk = Buffer.from(hkdfSync('sha256', clusterKey, '', PURPOSE, PSK_BYTES)).toString('hex');
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${psk}`);
}

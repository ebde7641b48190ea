import type { PeerDiscovery, PeerInfo, Startable } from '@libp2p/interface';
import type { MulticastDNSComponents } from '@libp2p/mdns';
import { mdns } from '@libp2p/mdns';

/** How often the local network is asked. */
const QUERY_INTERVAL_MS = 10_000;

export interface LocalFinderOptions {
  readonly clusterId: string;
  readonly onFound: (peer: PeerInfo) => void;
}

/**
 * Finds nodes of the same cluster on the local network by multicast DNS. Anybody there can answer: who is found is somebody to dial,
 * and has to prove the rest. libp2p is not told, since it would keep everybody for hours.
 */
export class LocalFinder implements Startable {
  readonly #discovery: PeerDiscovery & Startable;

  constructor(components: MulticastDNSComponents, { clusterId, onFound }: LocalFinderOptions) {
    this.#discovery = mdns({ serviceTag: `_cm-${clusterId}._udp.local`, interval: QUERY_INTERVAL_MS })(
      components,
    ) as PeerDiscovery & Startable;
    this.#discovery.addEventListener('peer', ({ detail }) => onFound(detail));
  }

  async start(): Promise<void> {
    await this.#discovery.start();
  }

  async stop(): Promise<void> {
    await this.#discovery.stop();
  }
}

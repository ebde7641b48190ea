import { isIP } from 'node:net';
import type { CreateParams } from '../../../src/api/wire.ts';
import { UsageError } from '../cli-error.ts';

type Port = NonNullable<CreateParams['ports']>[number];

const PORT = /^\d{1,5}$/;
const MAX_PORT = 65_535;

/**
 * `[ADDRESS:][HOST:]CONTAINER[/tcp|/udp]`, an IPv6 address in brackets: `80`, `8080:80`, `127.0.0.1:8080:80`,
 * `127.0.0.1::80` and `[::1]:53:53/udp`. Without a host port the engine takes one that is free.
 */
export function parsePublish(text: string): Port {
  const [rest = '', protocol = 'tcp', ...more] = text.split('/');
  if ((protocol !== 'tcp' && protocol !== 'udp') || more.length > 0) throw malformed(text);
  const { address, ports } = splitAddress(rest, text);
  const [host, container] = ports.length === 1 ? ['', ports[0]] : ports;
  if (ports.length > 2 || container === undefined || host === undefined) throw malformed(text);
  return {
    container: portNumber(container, text),
    ...(host !== '' && { host: portNumber(host, text) }),
    ...(protocol !== 'tcp' && { protocol }),
    ...(address !== undefined && { address }),
  };
}

function splitAddress(rest: string, text: string): { address: string | undefined; ports: readonly string[] } {
  const bracketed = /^\[([^\]]*)\]:(.*)$/.exec(rest);
  if (bracketed !== null) {
    const [, address = '', ports = ''] = bracketed;
    if (isIP(address) !== 6) throw malformed(text);
    return { address, ports: ports.split(':') };
  }
  const parts = rest.split(':');
  const [first = ''] = parts;
  // A port alone never has a dot, so `127.0.0.1:80` is an address and the container's port.
  if (parts.length === 1 || (parts.length === 2 && !first.includes('.')))
    return { address: undefined, ports: parts };
  if (isIP(first) !== 4) throw malformed(text);
  return { address: first, ports: parts.slice(1) };
}

function portNumber(part: string, text: string): number {
  const value = PORT.test(part) ? Number(part) : 0;
  if (value < 1 || value > MAX_PORT) throw malformed(text);
  return value;
}

function malformed(text: string): UsageError {
  return new UsageError(
    `--publish ${JSON.stringify(text)} must be [ADDRESS:][HOST:]CONTAINER[/udp], with ports from 1 to 65535`,
    'for example 8080:80, 127.0.0.1::80 or [::1]:53:53/udp',
  );
}

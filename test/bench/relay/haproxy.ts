import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from '../suite.ts';
import { ProxyProgram, type Proxy } from './proxy.ts';

/** One thread; an HTTP proxy that becomes a tunnel after a 101; buffers as long as a message is. */
const settings = (port: number, echoPort: number): string => `
global
  nbthread 1
  maxconn 8000
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
listen relay
  bind 127.0.0.1:${port} backlog 4096
  server echo 127.0.0.1:${echoPort}
`;

export function startHaproxy(context: BenchContext, echoPort: number): Promise<Proxy> {
  const file = join(context.workDir, 'haproxy.cfg');
  return ProxyProgram.start('haproxy', context, (port) => {
    writeFileSync(file, settings(port, echoPort));
    return ['-db', '-f', file];
  });
}

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from '../suite.ts';
import { ProxyProgram, type Proxy } from './proxy.ts';

/** One worker; nothing is logged of a connection; what is relayed goes through buffers as long as a message is. */
const settings = (port: number, echoPort: number): string => `
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr warn;
events {
  worker_connections 16384;
}
http {
  access_log off;
  client_body_temp_path temporary;
  proxy_temp_path temporary;
  fastcgi_temp_path temporary;
  uwsgi_temp_path temporary;
  scgi_temp_path temporary;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://127.0.0.1:${echoPort};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection Upgrade;
      proxy_buffer_size 128k;
      proxy_buffers 4 128k;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }
  }
}
`;

export function startNginx(context: BenchContext, echoPort: number): Promise<Proxy> {
  const directory = join(context.workDir, 'nginx');
  mkdirSync(join(directory, 'temporary'), { recursive: true });
  return ProxyProgram.start('nginx', context, (port) => {
    writeFileSync(join(directory, 'nginx.conf'), settings(port, echoPort));
    return ['-p', directory, '-c', 'nginx.conf', '-e', 'stderr'];
  });
}

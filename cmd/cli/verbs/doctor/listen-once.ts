import { createServer } from 'node:net';

/** Resolves when it was possible to listen there; fails with the error of the system call. */
export function listenOnce(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}

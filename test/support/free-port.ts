import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux hands out by itself (from 32768 on). Among those, whoever asks for any port or connects to
 * somewhere may be given the one that a test has just chosen, or that its node leaves free between two lives.
 */
const FIRST_PORT = 20_000;
const PORTS_PER_WORKER = 1_000;
const MAX_WORKERS = 12;

/** Files that run side by side do so in workers of different numbers, and draw from different ports. */
const firstOfWorker =
  FIRST_PORT + (Number(process.env['VITEST_POOL_ID'] ?? 0) % MAX_WORKERS) * PORTS_PER_WORKER;
/** Two runs on one machine begin at different places. */
let drawn = randomInt(PORTS_PER_WORKER);

/** A port that nobody listens on, and that nobody else is given. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS_PER_WORKER; tries += 1) {
    drawn = (drawn + 1) % PORTS_PER_WORKER;
    const port = firstOfWorker + drawn;
    if (await isFree(port)) return port;
  }
  throw new Error(`none of the ports from ${firstOfWorker} on is free`);
}

/** On every address, since a node may listen on any. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '0.0.0.0');
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}

import { loadConfig } from '../../../src/config/load.ts';
import { startNode, type Node } from '../../../src/node.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { FakeDriver } from '../../support/fake-driver.ts';
import { serveParent } from './parent.ts';

/** A whole node as the daemon starts it, with or without an engine. */
export interface NodeStart {
  readonly engine: 'docker' | 'none';
  readonly dataDir: string;
  readonly flags: Readonly<Record<string, string>>;
}

let node: Node | undefined;

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

serveParent(
  {
    start: async ({ engine, dataDir, flags }: NodeStart) => {
      const fixed = { 'listen-address': '127.0.0.1', port: '0', 'data-dir': dataDir };
      const { config } = loadConfig({ flags: { ...flags, ...fixed }, env: {} });
      node = await startNode({
        config,
        logger: createLogger({ level: config.log_level }),
        onFatal: fail,
        ...(engine === 'none' ? { driver: new FakeDriver() } : {}),
      });
      return node.port;
    },
  },
  async () => node?.stop(AbortSignal.abort()),
);

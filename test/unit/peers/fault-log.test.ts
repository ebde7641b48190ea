import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/kernel/ids.ts';
import { FaultLog } from '../../../src/peers/replication/fault-log.ts';
import { Health } from '../../../src/telemetry/health.ts';
import { SILENT_LOGGER } from '../../../src/telemetry/logger.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

const OWN = '12D3KooWOwn' as NodeId;
const OTHER = '12D3KooWOther' as NodeId;
const MINUTE_MS = 60_000;

let clock: SteppedClock;
let health: Health;
let counted: string[];
let log: FaultLog;

beforeEach(() => {
  clock = new SteppedClock();
  health = new Health();
  counted = [];
  const part = health.register('peers', { isRequired: false });
  part.ok();
  const nothing = (): void => undefined;
  const telemetry = {
    peerRefused: nothing, gossiped: nothing, gossipTaken: nothing, synced: nothing,
    replicationFault: (fault: string): void => void counted.push(fault),
  }; // prettier-ignore
  log = new FaultLog({ clock, logger: SILENT_LOGGER, telemetry, nodeId: OWN, health: part });
});

const status = (): string | undefined => health.report().parts['peers']?.status;

describe('a copied identity', () => {
  it('of this node is to be seen in its health as long as it shows itself, and no longer', async () => {
    log.onCopiedIdentity(OWN);
    expect(health.report().parts['peers']?.message).toContain(OWN);
    for (let minute = 0; minute < 30; minute += 10) {
      await clock.advance(10 * MINUTE_MS);
      log.onCopiedIdentity(OWN);
      expect(status()).toBe('down');
    }
    await clock.advance(15 * MINUTE_MS);
    expect(status()).toBe('ok');
    expect(clock.pending).toBe(0);
  });

  it('of another node is counted, and says nothing of the health of this one', () => {
    log.onCopiedIdentity(OTHER);
    expect(counted).toEqual(['copied_identity']);
    expect(status()).toBe('ok');
  });

  it('leaves no timer behind', () => {
    log.onCopiedIdentity(OWN);
    log[Symbol.dispose]();
    expect(clock.pending).toBe(0);
  });
});

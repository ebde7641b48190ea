import type { Connection, MultiaddrConnection, PeerId } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../../../src/kernel/ids.ts';
import { PeerGate } from '../../../../src/peers/libp2p/peer-gate.ts';
import { Refusals, type RefusalReason } from '../../../../src/peers/libp2p/refusals.ts';
import { SILENT_LOGGER } from '../../../../src/telemetry/logger.ts';
import { SteppedClock } from '../../../support/stepped-clock.ts';

const LOW = '12D3-low' as NodeId;
const HIGH = '12D3-zzz' as NodeId;
const OWN = '12D3-own' as NodeId;
const YOUNG_MS = 1_000;
const OLD_MS = 60_000;

const idOf = (peer: NodeId, type = 'Ed25519'): PeerId =>
  ({ type, toString: () => peer }) as unknown as PeerId;
const wire = { remoteAddr: multiaddr('/ip4/10.0.0.1/tcp/1') } as MultiaddrConnection;

interface Held {
  readonly direction: 'inbound' | 'outbound';
  readonly ageMs: number;
  isAborted?: boolean;
}

describe('the gate', () => {
  let held: Held[];
  let refused: RefusalReason[];
  let foundAgain: [NodeId, string][];
  let doubted: number;
  beforeEach(() => {
    doubted = 0;
    held = [];
    refused = [];
    foundAgain = [];
  });
  const gateFor = (allow: readonly NodeId[] = []): PeerGate =>
    new PeerGate(allow, {
      nodeId: OWN,
      refusals: new Refusals({
        clock: new SteppedClock(),
        logger: SILENT_LOGGER,
        count: (reason) => refused.push(reason),
      }),
      connectionsOf: () =>
        held.map((one) => ({ ...one, abort: () => (one.isAborted = true) }) as unknown as Connection),
      ageMs: (connection) => (connection as unknown as Held).ageMs,
      onFoundAgain: (peer, address) => foundAgain.push([peer, address]),
      onDoubted: (connections) => (doubted += connections.length),
    });
  const comesIn = (gate: PeerGate, peer: PeerId): unknown =>
    gate.gater.denyInboundEncryptedConnection?.(peer, wire) !== true;
  const goesOut = (gate: PeerGate, peer: PeerId): unknown =>
    gate.gater.denyOutboundEncryptedConnection?.(peer, wire) !== true;

  it('is open to everybody with the key, both ways, where there is no list', () => {
    const gate = gateFor();
    expect([comesIn(gate, idOf(LOW)), goesOut(gate, idOf(LOW)), gate.isAllowed(HIGH)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(refused).toEqual([]);
  });

  it('tells who was found at an address that was dialled, and is connected already', () => {
    held = [{ direction: 'inbound', ageMs: OLD_MS }];
    expect(goesOut(gateFor(), idOf(LOW))).toBe(false);
    expect(foundAgain).toEqual([[LOW, '/ip4/10.0.0.1/tcp/1']]);
    expect(held[0]?.isAborted).toBeUndefined();
  });

  it('is open to those on the list, both ways, and to nobody else', () => {
    const gate = gateFor([LOW]);
    expect([comesIn(gate, idOf(LOW)), goesOut(gate, idOf(LOW))]).toEqual([true, true]);
    expect([comesIn(gate, idOf(HIGH)), goesOut(gate, idOf(HIGH))]).toEqual([false, false]);
    expect(gate.gater.denyDialPeer?.(idOf(HIGH))).toBe(true);
    expect(refused).toEqual(['not_allowed', 'not_allowed']);
  });

  it('opens and closes while the node runs', () => {
    const gate = gateFor([LOW]);
    gate.deny(LOW);
    gate.allow(HIGH);
    expect([gate.isAllowed(LOW), gate.isAllowed(HIGH)]).toEqual([false, true]);
    // A list from which the last is taken still is a list.
    gate.deny(HIGH);
    expect(gate.isAllowed('12D3-other' as NodeId)).toBe(false);
    const open = gateFor();
    open.deny(LOW);
    expect([open.isAllowed(LOW), open.isAllowed(HIGH)]).toEqual([false, true]);
  });

  it.each(['RSA', 'secp256k1', 'ECDSA', 'url'])('is closed to a key of the kind %s', (type) => {
    expect(comesIn(gateFor(), idOf(LOW, type))).toBe(false);
    expect(refused).toEqual(['not_ed25519']);
  });

  it('is closed to the node itself', () => {
    expect([comesIn(gateFor(), idOf(OWN)), gateFor([OWN]).isAllowed(OWN)]).toEqual([false, false]);
  });

  it.each<[string, NodeId, Held, boolean, boolean]>([
    [
      'our dial stays when our id is the lower',
      HIGH,
      { direction: 'outbound', ageMs: YOUNG_MS },
      false,
      false,
    ],
    [
      'theirs comes in when theirs is the lower',
      LOW,
      { direction: 'outbound', ageMs: YOUNG_MS },
      true,
      false,
    ],
    ['a second one of theirs comes in', HIGH, { direction: 'inbound', ageMs: YOUNG_MS }, true, false],
    ['one that they have lost is ended', HIGH, { direction: 'outbound', ageMs: OLD_MS }, true, true],
    [
      'one that they have lost is ended, whoever made it',
      LOW,
      { direction: 'inbound', ageMs: OLD_MS },
      true,
      true,
    ],
  ])('with a connection already there: %s', (_what, peer, one, isLetIn, isEnded) => {
    held = [one];
    expect(comesIn(gateFor(), idOf(peer))).toBe(isLetIn);
    expect(one.isAborted ?? false).toBe(isEnded);
    // The peer may have lost it.
    expect(doubted).toBe(isLetIn ? 0 : 1);
    expect(goesOut(gateFor(), idOf(peer))).toBe(false);
    expect(refused).toEqual([]);
  });

  it('is closed to a third connection of one peer', () => {
    held = [
      { direction: 'inbound', ageMs: OLD_MS },
      { direction: 'inbound', ageMs: YOUNG_MS },
    ];
    expect(comesIn(gateFor(), idOf(LOW))).toBe(false);
    expect(doubted).toBe(2);
  });
});

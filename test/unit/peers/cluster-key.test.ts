import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadClusterKey } from '../../../src/peers/cluster-key.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
});
const file = (name: string): string => join(directory, name);

describe('the cluster key', () => {
  it('is made once, and names its cluster without giving itself away', () => {
    const first = loadClusterKey(file('cluster.key'));
    expect(loadClusterKey(file('cluster.key'))).toEqual(first);
    expect(first.key).toHaveLength(32);
    expect(first.clusterId).toMatch(/^[0-9a-f]{16}$/);
    expect(readFileSync(file('cluster.key'), 'utf8')).not.toContain(first.clusterId);
    expect(loadClusterKey(file('other.key')).clusterId).not.toBe(first.clusterId);
  });

  it.each(['', 'abc', 'g'.repeat(64), 'A'.repeat(64), 'a'.repeat(63), 'a'.repeat(65)])(
    'is refused as %j',
    (text) => {
      writeFileSync(file('cluster.key'), text, { mode: 0o600 });
      expect(() => loadClusterKey(file('cluster.key'))).toThrow(
        `${file('cluster.key')} holds no cluster key: 64 hex digits are expected`,
      );
    },
  );
});

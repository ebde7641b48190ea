import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { readAddressFile, writeAddressFile } from '../../../src/peers/address-file.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'cm-peers-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
});

const ADDRESSES = ['/ip4/192.0.2.7/tcp/4001', '/ip6/2001:db8::7/tcp/4001'];

describe('the file of addresses', () => {
  it('gives back what was written last', () => {
    writeAddressFile(dataDir, ['/ip4/192.0.2.1/tcp/1']);
    writeAddressFile(dataDir, ADDRESSES);
    expect(readAddressFile(dataDir)).toEqual(ADDRESSES);
    expect(readdirSync(dataDir)).toEqual(['p2p-addresses']);
  });

  it('that is not there has none', () => {
    expect(readAddressFile(dataDir)).toEqual([]);
  });

  it.each(['', '{', 'null', '{"a":1}', `["${'x'.repeat(70_000)}"]`])('that holds %.20j has none', (text) => {
    writeFileSync(join(dataDir, 'p2p-addresses'), text);
    expect(readAddressFile(dataDir)).toEqual([]);
  });

  it('keeps to addresses', () => {
    const entries = [1, null, 'nonsense', '/ip4/999.0.2.1/tcp/1', '/ip4/192.0.2.1/tcp/0', ...ADDRESSES];
    writeFileSync(join(dataDir, 'p2p-addresses'), JSON.stringify(entries));
    expect(readAddressFile(dataDir)).toEqual(ADDRESSES);
  });
});

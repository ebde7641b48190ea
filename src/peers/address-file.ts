import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePeerAddress } from '../kernel/peer-address.ts';

/** Where a running node tells the commands on its host at which addresses its peers reach it. */
const ADDRESS_FILE = 'p2p-addresses';

/** Longest file that is read, in characters: far above what any host has. */
const MAX_FILE_LENGTH = 64 * 1024;
const MAX_ADDRESSES = 256;

/** Writes the addresses of this node, whole or not at all. They are no secret. */
export function writeAddressFile(dataDir: string, addresses: readonly string[]): void {
  const file = join(dataDir, ADDRESS_FILE);
  const draft = `${file}.draft`;
  try {
    writeFileSync(draft, `${JSON.stringify(addresses.slice(0, MAX_ADDRESSES))}\n`);
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The addresses that the node last had; none where it has told nothing that can be read. */
export function readAddressFile(dataDir: string): readonly string[] {
  let addresses: unknown;
  try {
    const text = readFileSync(join(dataDir, ADDRESS_FILE), 'utf8');
    addresses = text.length > MAX_FILE_LENGTH ? undefined : JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(addresses)) return [];
  return addresses.filter(
    (address): address is string => typeof address === 'string' && parsePeerAddress(address) !== undefined,
  );
}

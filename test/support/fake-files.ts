import { posix } from 'node:path';
import type { InstanceFile } from '../../src/runtime/driver.ts';

/** What stands under each absolute path. Directories above them are there by themselves. */
export type FileTree = Readonly<Record<string, Buffer | { readonly link: string } | 'directory'>>;

const MAX_LINKS = 40;

/** What a driver's `readFile` finds in a tree. */
export function readTree(tree: FileTree, path: string, maxBytes: number): InstanceFile {
  if (path === '' || path.includes('\0')) return { kind: 'missing' };
  const resolved = resolveLinks(tree, posix.resolve('/', path));
  const found = resolved === undefined ? undefined : entryAt(tree, resolved);
  if (found === undefined || (Buffer.isBuffer(found) && path.endsWith('/'))) return { kind: 'missing' };
  if (!Buffer.isBuffer(found)) return { kind: 'not_a_file' };
  return found.length > maxBytes
    ? { kind: 'too_large', bytes: found.length }
    : { kind: 'file', data: Buffer.from(found) };
}

function resolveLinks(tree: FileTree, path: string): string | undefined {
  let rest = path.split('/').filter((part) => part !== '');
  let real = '/';
  let links = 0;
  while (rest.length > 0) {
    const [part = '', ...further] = rest;
    const next = posix.join(real, part);
    const entry = entryAt(tree, next);
    if (entry === undefined || (Buffer.isBuffer(entry) && further.length > 0)) return undefined;
    if (typeof entry === 'object' && 'link' in entry) {
      if ((links += 1) > MAX_LINKS) return undefined;
      if (entry.link.startsWith('/')) real = '/';
      rest = [...entry.link.split('/').filter((piece) => piece !== ''), ...further];
      continue;
    }
    real = next;
    rest = further;
  }
  return real;
}

function entryAt(tree: FileTree, path: string): FileTree[string] | undefined {
  if (Object.hasOwn(tree, path)) return tree[path];
  const prefix = path === '/' ? '/' : `${path}/`;
  return Object.keys(tree).some((name) => name.startsWith(prefix)) ? 'directory' : undefined;
}

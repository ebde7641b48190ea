import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ElfError } from '../../../src/catalog/elf/errors.ts';
import { readLibrary } from '../../../src/catalog/elf/library.ts';
import { MAX_SYMBOLS } from '../../../src/catalog/elf/symbol-table.ts';
import { changedBy, compile, library, outputOf, SOURCE } from '../../support/libraries.ts';
import { type ElfShape, writeLibrary } from '../../support/elf-writer.ts';

const EXPORTED = ['DISCON', 'discon_', 'protected_one', 'uses_it', 'weak_one'];
/** What linkers of some versions export beside it. */
const OF_THE_LINKER = /^(?:_init|_fini|_edata|_end|__bss_start)$/;

/** What a file exports; fails when it is no library. */
function namesIn(data: Buffer): string[] {
  const file = readLibrary(data);
  if (file.kind !== 'library') throw new Error(file.problem);
  return [...file.library.exportedNames()].filter((name) => !OF_THE_LINKER.test(name)).sort();
}

function problemOf(data: Buffer): string {
  const file = readLibrary(data);
  return file.kind === 'other' ? file.problem : 'none';
}

/** Looks at everything there is to see; fails for any error but the parser's own. */
function explore(data: Buffer): 'library' | 'other' | 'broken' {
  const file = readLibrary(data);
  if (file.kind === 'other') return 'other';
  try {
    for (const name of file.library.exportedNames()) expect(name).not.toBe('');
    return 'library';
  } catch (error) {
    if (error instanceof ElfError) return 'broken';
    throw error;
  }
}

/** Without the headers of sections, as some tools leave a library: it loads all the same. */
function withoutSections(data: Buffer): Buffer {
  const bare = Buffer.from(data);
  bare.fill(0, 40, 48);
  bare.fill(0, 58, 64);
  return bare;
}

let real: Buffer;
beforeAll(() => {
  real = library();
});

describe('a real library', () => {
  it('exports what others can call, and nothing else', () => {
    expect(namesIn(real)).toEqual(EXPORTED);
    const file = readLibrary(real);
    expect(file).toMatchObject({ library: { format: expect.stringMatching(/^ELF 64-bit /) as string } });
  });

  it.each(['sysv', 'gnu', 'both'])('with a hash table of the kind %s needs no section', (style) => {
    const linked = library(SOURCE, [`-Wl,--hash-style=${style}`]);
    expect(namesIn(linked)).toEqual(EXPORTED);
    expect(namesIn(withoutSections(linked))).toEqual(EXPORTED);
    expect(namesIn(withoutSections(changedBy('strip', [], linked)))).toEqual(EXPORTED);
  });

  it('exports the same once it is stripped', () => {
    const stripped = changedBy('strip', ['--strip-unneeded'], real);
    expect(stripped.length).toBeLessThan(real.length);
    expect(namesIn(stripped)).toEqual(EXPORTED);
  });

  it('that exports nothing exports nothing', () => {
    const empty = library(
      'static int one(void) { return 1; } int (*const two)(void) __attribute__((visibility("hidden"))) = one;',
    );
    expect(namesIn(empty)).toEqual([]);
    expect(namesIn(withoutSections(empty))).toEqual([]);
  });

  it('of this machine, with thousands of symbols, is read as readelf reads it', () => {
    const libc = readFileSync(
      execFileSync('gcc', ['-print-file-name=libc.so.6'], { encoding: 'utf8' }).trim(),
    );
    const rows = outputOf('readelf', ['--dyn-syms', '--wide'], libc).split('\n');
    const expected = rows.flatMap((row) => {
      const [, , , type, bind, visibility, section, name] = row.trim().split(/\s+/);
      const isShared = bind === 'GLOBAL' || bind === 'WEAK' || bind === 'UNIQUE';
      if (!isShared || section === 'UND' || type === 'TLS' || name === undefined) return [];
      return visibility === 'DEFAULT' || visibility === 'PROTECTED' ? [name.split('@')[0] as string] : [];
    });
    expect(expected.length).toBeGreaterThan(2000);
    expect(namesIn(libc)).toEqual(expected.filter((name) => !OF_THE_LINKER.test(name)).sort());
    expect(new Set(namesIn(withoutSections(libc)))).toEqual(new Set(namesIn(libc)));
  });
});

describe('a file that is no library', () => {
  const main = 'int main(void) { return 0; }';
  const windows = Buffer.concat([
    Buffer.from('MZ'),
    Buffer.alloc(58),
    Buffer.from([64, 0, 0, 0]),
    Buffer.from('PE\0\0'),
  ]);
  const mac = (magic: number): Buffer => {
    const file = Buffer.alloc(4096);
    file.writeUInt32BE(magic);
    return file;
  };
  it.each<[what: string, file: () => Buffer, problem: RegExp]>([
    ['a program', () => compile(main, ['-no-pie']), /^is no shared object: it is a program \(ELF 64-bit/],
    ['a program that can be placed anywhere', () => compile(main, ['-pie', '-fPIE']), /it is a program/],
    ['a program that is complete in itself', () => compile(main, ['-static']), /it is a program/],
    [
      'an object file',
      () => compile(SOURCE, ['-c']),
      /^is no shared object: it is an object file that was never linked/,
    ],
    ['nothing', () => Buffer.alloc(0), /^is empty$/],
    ['zeros', () => Buffer.alloc(100), /^is no ELF file$/],
    ['a Windows library', () => windows, /^is a Windows library \(PE\)/],
    ['a macOS library of 64 bits', () => mac(0xcffaedfe), /^is a macOS library \(Mach-O\)/],
    ['a macOS library of 32 bits', () => mac(0xcefaedfe), /Mach-O/],
    ['a macOS library in the other order', () => mac(0xfeedfacf), /Mach-O/],
    ['a macOS library for several machines', () => mac(0xcafebabe), /Mach-O/],
    ['an archive', () => Buffer.from('!<arch>\nlib.o/'), /^is a static library/],
    ['a script', () => Buffer.from('#!/bin/sh\n'), /^is a script$/],
    [
      'a text for the linker',
      () => Buffer.from('/* GNU ld script\n*/\nGROUP ( libm.so.6 )'),
      /text for the linker/,
    ],
    ['the letters MZ alone', () => Buffer.from('MZ'), /^is no ELF file$/],
    ['the magic alone', () => Buffer.from('\x7fELF'), /^is a broken ELF file: it is cut off/],
    ['an unknown class', () => edited(4, 3), /neither of 32 nor of 64 bits/],
    ['an unknown order', () => edited(5, 0), /no known order of bytes/],
    ['an unknown type', () => edited(16, 9), /of the unknown type 9/],
  ])('%s: is told apart', (_what, file, problem) => {
    expect(problemOf(file())).toMatch(problem);
  });

  function edited(offset: number, value: number): Buffer {
    const copy = Buffer.from(real);
    copy.writeUInt8(value, offset);
    return copy;
  }
});

describe('a library of another machine', () => {
  const shapes: [
    architecture: string,
    format: string,
    shape: Pick<ElfShape, 'is64Bit' | 'isLittleEndian' | 'machine'>,
  ][] = [
    ['amd64', 'ELF 64-bit amd64', { is64Bit: true, isLittleEndian: true, machine: 62 }],
    ['arm64', 'ELF 64-bit arm64', { is64Bit: true, isLittleEndian: true, machine: 183 }],
    ['386', 'ELF 32-bit 386', { is64Bit: false, isLittleEndian: true, machine: 3 }],
    ['arm', 'ELF 32-bit arm', { is64Bit: false, isLittleEndian: true, machine: 40 }],
    ['ppc64', 'ELF 64-bit ppc64', { is64Bit: true, isLittleEndian: false, machine: 21 }],
    ['mips', 'ELF 32-bit mips', { is64Bit: false, isLittleEndian: false, machine: 8 }],
  ];
  it.each(shapes)('%s: is read by its own width and order', (architecture, format, shape) => {
    for (const hasSections of [true, false]) {
      for (const hash of ['sysv', 'gnu'] as const) {
        const data = writeLibrary({ ...shape, hasSections, hash }, ['DISCON', 'second', 'third']);
        expect(readLibrary(data)).toMatchObject({ kind: 'library', library: { architecture, format } });
        expect(namesIn(data)).toEqual(['DISCON', 'second', 'third']);
      }
    }
  });

  it('that nobody knows has no architecture', () => {
    const shape = {
      is64Bit: true,
      isLittleEndian: false,
      machine: 62,
      hasSections: true,
      hash: 'sysv',
    } as const;
    expect(readLibrary(writeLibrary(shape, ['DISCON']))).toMatchObject({
      library: { architecture: undefined, format: 'ELF 64-bit machine 62 (big-endian)' },
    });
  });

  it('written so is what readelf takes for the same', () => {
    for (const [, , shape] of shapes) {
      const data = writeLibrary({ ...shape, hasSections: true, hash: 'sysv' }, ['DISCON', 'second']);
      expect(outputOf('readelf', ['--dyn-syms', '--wide'], data)).toMatch(
        /GLOBAL DEFAULT +1 DISCON\n.*second/,
      );
    }
  });

  it('without any table to look names up by cannot be judged', () => {
    const shape = {
      is64Bit: true,
      isLittleEndian: true,
      machine: 62,
      hasSections: false,
      hash: 'none',
    } as const;
    expect(explore(writeLibrary(shape, ['DISCON']))).toBe('broken');
  });
});

describe('a hostile file', () => {
  const shape = { is64Bit: true, isLittleEndian: true, machine: 62 } as const;
  const small = writeLibrary({ ...shape, hasSections: true, hash: 'gnu' }, ['DISCON', 'second']);
  const bare = writeLibrary({ ...shape, hasSections: false, hash: 'gnu' }, ['DISCON', 'second']);
  const narrow = writeLibrary({ ...shape, is64Bit: false, machine: 3, hasSections: false, hash: 'sysv' }, [
    'DISCON',
  ]);

  it('cut off anywhere fails by itself', () => {
    for (const whole of [small, bare, narrow]) {
      for (let length = 0; length < whole.length; length += 1) explore(whole.subarray(0, length));
    }
    for (let length = 0; length < 2048; length += 1) explore(real.subarray(0, length));
    expect(explore(small.subarray(0, 64))).toBe('other');
  });

  it('with any byte of its head and tables changed fails by itself, or is read', () => {
    const outcomes = new Set<string>();
    for (const whole of [small, bare, narrow]) {
      for (let offset = 0; offset < whole.length; offset += 1) {
        for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
          const changed = Buffer.from(whole);
          changed.writeUInt8(value, offset);
          outcomes.add(explore(changed));
        }
      }
    }
    expect(outcomes).toEqual(new Set(['library', 'other', 'broken']));
  });

  it('changed at random places fails by itself, or is read', () => {
    const changes = fc.array(
      fc.record({
        // Of the heads and tables above all, which stand at both ends.
        at: fc.oneof(
          fc.nat(4096),
          fc.nat(real.length - 8),
          fc.integer({ min: real.length - 4096, max: real.length - 8 }),
        ),
        bytes: fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 8 }),
          fc.constantFrom(
            ...[0, 1, 0x7fff_ffff, 0xffff_ffff].map((value) =>
              Uint8Array.of(...new Uint8Array(new Uint32Array([value]).buffer)),
            ),
          ),
        ),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(
        fc.constantFrom(real, withoutSections(real), small, bare, narrow),
        changes,
        (whole, edits) => {
          const changed = Buffer.from(whole);
          for (const { at, bytes } of edits)
            changed.set(bytes, Math.min(at % changed.length, changed.length - bytes.length));
          explore(changed);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('of random bytes fails by itself', () => {
    const head = fc.constantFrom([2, 1], [2, 2], [1, 1], [1, 2]);
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 400 }), ([width, order], rest) => {
        explore(Buffer.from([0x7f, 0x45, 0x4c, 0x46, width as number, order as number, ...rest]));
      }),
      { numRuns: 1000 },
    );
  });

  it('that claims more symbols than any library has is not read', () => {
    const claiming = Buffer.from(bare);
    const dynamic = readLibrary(claiming);
    expect(dynamic.kind).toBe('library');
    const hash = claiming.indexOf(Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]));
    claiming.writeUInt32LE(MAX_SYMBOLS + 1, hash);
    expect(explore(claiming)).toBe('broken');
    claiming.writeUInt32LE(1, hash);
    claiming.writeUInt32LE(0xffff_ffff, hash + 24);
    expect(explore(claiming)).toBe('broken');
  });

  it('whose names are one endless text is read no further than a name can be', () => {
    const names = Array.from({ length: 2000 }, (_, index) => `${index}`.padStart(255, 'x'));
    const long = writeLibrary({ ...shape, hasSections: true, hash: 'sysv' }, ['y'.repeat(100_000), ...names]);
    expect(namesIn(long)).toEqual(names.sort());
  });
});

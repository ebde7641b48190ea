/** Machines as ELF numbers them (gABI, `e_machine`), and as engines name the ones they run on. */

interface Shape {
  readonly is64Bit: boolean;
  readonly isLittleEndian: boolean;
}

interface Machine extends Shape {
  readonly number: number;
  readonly architecture: string;
}

const little = (number: number, bits: 32 | 64, architecture: string): Machine => ({
  number,
  architecture,
  is64Bit: bits === 64,
  isLittleEndian: true,
});
const big = (number: number, bits: 32 | 64, architecture: string): Machine => ({
  ...little(number, bits, architecture),
  isLittleEndian: false,
});

const MACHINES: readonly Machine[] = [
  little(3, 32, '386'),
  little(8, 32, 'mipsle'),
  little(8, 64, 'mips64le'),
  big(8, 32, 'mips'),
  big(8, 64, 'mips64'),
  big(21, 64, 'ppc64'),
  little(21, 64, 'ppc64le'),
  big(22, 64, 's390x'),
  little(40, 32, 'arm'),
  little(62, 64, 'amd64'),
  little(183, 64, 'arm64'),
  little(243, 64, 'riscv64'),
  little(258, 64, 'loong64'),
];

/** The machine that a file is for: a name for people, and the engines' own where there is one. */
export function machineOf(
  number: number,
  shape: Shape,
): { readonly name: string; readonly architecture: string | undefined } {
  const found = MACHINES.find(
    (machine) =>
      machine.number === number &&
      machine.is64Bit === shape.is64Bit &&
      machine.isLittleEndian === shape.isLittleEndian,
  );
  const order = shape.isLittleEndian ? 'little-endian' : 'big-endian';
  return { name: found?.architecture ?? `machine ${number} (${order})`, architecture: found?.architecture };
}

export function isKnownArchitecture(architecture: string): boolean {
  return MACHINES.some((machine) => machine.architecture === architecture);
}

/** What an engine runs beside its own architecture, in containers of images that are made for it. */
const ALSO_RUN: Readonly<Record<string, string>> = { amd64: '386', arm64: 'arm' };

/** Whether a library of an image runs on an engine. */
export function runsOn(engine: string, image: string, library: string): boolean {
  return library === engine || (library === image && ALSO_RUN[engine] === image);
}

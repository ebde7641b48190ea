/** Names that are told, and those looked at for slips of the pen. */
const MAX_NEAR_NAMES = 3;
const MAX_COMPARED = 5_000;

/**
 * Up to three of the names that `wanted` was probably meant to be, the likeliest first: the same in other letters, as
 * Fortran compilers write it (`discon_`, `__module_MOD_discon`), or with more around it.
 */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  const plain = bare(wanted);
  if (plain === '') return [];
  const ranked = names.flatMap((name) => {
    const rank = rankOf(plain, name);
    return rank === undefined ? [] : [{ name, rank }];
  });
  const found = ranked.toSorted((one, other) => one.rank - other.rank).map(({ name }) => name);
  return [...new Set(found)].slice(0, MAX_NEAR_NAMES).concat(found.length === 0 ? slips(plain, names) : []);
}

/** Whether a name looks like that of a Fortran procedure whose compiler was not told how to write it. */
export function isFortranName(wanted: string, name: string): boolean {
  return name !== wanted && name === name.toLowerCase().replace('_mod_', '_MOD_') && /_$|_MOD_/.test(name);
}

function rankOf(plain: string, name: string): number | undefined {
  if (bare(name) === plain) return 0;
  const lower = name.toLowerCase();
  if (lower.endsWith(`_mod_${plain}`)) return 1;
  return lower.includes(plain) ? 2 : undefined;
}

function bare(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

/** Those that differ by one letter: put in, left out, or another. */
function slips(plain: string, names: readonly string[]): string[] {
  const found: string[] = [];
  for (const name of names.slice(0, MAX_COMPARED)) {
    if (found.length === MAX_NEAR_NAMES) break;
    if (isSlip(plain, bare(name))) found.push(name);
  }
  return found;
}

function isSlip(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1 || one.length < 3) return false;
  let start = 0;
  while (start < one.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one.at(-1 - end) === other.at(-1 - end)) {
    end += 1;
  }
  return one.length - start - end <= 1 && other.length - start - end <= 1;
}

import semver from 'semver';

/**
 * Versions as people write them: `2.9.4`, `v2.9`, `2`, `2.9.4-rc1`; anything else, such as `main`, is a version all the
 * same, but one that only its exact text leads to.
 */

/** Missing parts are zero; more than three parts, or other words, are no version that can be ordered. */
const SHORT_VERSION = /^v?(\d{1,16})(?:\.(\d{1,16}))?$/;

function parse(version: string): semver.SemVer | undefined {
  const text = version.trim();
  const short = SHORT_VERSION.exec(text);
  const whole = short === null ? text : `${short[1]}.${short[2] ?? '0'}.0`;
  return semver.parse(whole, { loose: true }) ?? undefined;
}

/** The later version first. Releases come before pre-releases, and both before what cannot be ordered. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [parse(one), parse(other)];
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const isPreRelease = (version: semver.SemVer): number => Number(version.prerelease.length > 0);
  return isPreRelease(a) - isPreRelease(b) || semver.rcompare(a, b);
}

/** Tells which versions a range such as `2.9`, `v2.9.4`, `^2` or `>=2.8 <3` takes; `undefined` where it is no range. */
export function rangeOf(text: string): ((version: string) => boolean) | undefined {
  const range = semver.validRange(text, { loose: true });
  if (range === null) return undefined;
  return (version) => {
    const parsed = parse(version);
    return parsed !== undefined && semver.satisfies(parsed, range, { loose: true });
  };
}

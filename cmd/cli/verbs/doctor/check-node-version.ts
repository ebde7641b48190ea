import { fail, ok, type Finding } from './finding.ts';

/** What the embedded store and the resource management of the language need. */
const MIN_MAJOR = 24;

export function checkNodeVersion(version: string): Finding {
  const major = Number(version.split('.', 1)[0]);
  if (major >= MIN_MAJOR) return ok('Node.js', version);
  return fail('Node.js', `${version} is too old`, `install Node.js ${MIN_MAJOR} or later`);
}

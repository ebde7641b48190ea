/**
 * Named points at which the fault tests kill this process: `CONTAINER_MANAGER_FAIL_AT=name` or `name:n` (the n-th
 * passage). Without the variable a call costs one comparison.
 */
const target = process.env['CONTAINER_MANAGER_FAIL_AT'];
const [targetName, targetCount] = target === undefined ? [] : target.split(':');
let passagesLeft = Number(targetCount ?? 1);

/** Every failpoint, so that a test can visit them all. */
export const FAILPOINTS = [
  'before-insert',
  'before-commit',
  'after-commit-before-ack',
  'before-create',
  'after-create-before-save',
  'before-start',
  'after-start-before-save',
  'after-exit-before-save',
  'before-stop',
  'after-stop-before-save',
  'during-remove',
  'after-remove-before-save',
  'mid-migration',
  'mid-checkpoint',
] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/** Dies here by SIGKILL when the environment names this point; otherwise does nothing. */
export function failpoint(name: Failpoint): void {
  if (targetName !== name) return;
  passagesLeft -= 1;
  if (passagesLeft <= 0) process.kill(process.pid, 'SIGKILL');
}

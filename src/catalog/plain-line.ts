import { CONTROLLER_LIMITS } from './controller.ts';

/** What a stranger's file or program says, as one line that may stand in an entry: it may be long, and hold what would spoil it. */
export function plainLine(text: string): string {
  return text
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?')
    .slice(0, CONTROLLER_LIMITS.infoLength);
}

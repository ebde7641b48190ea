/** Short names and colours of pino's levels, for people at a terminal. */
const LEVELS: Readonly<Record<number, string>> = {
  10: '\u001b[90mTRACE\u001b[39m',
  20: '\u001b[90mDEBUG\u001b[39m',
  30: '\u001b[32mINFO \u001b[39m',
  40: '\u001b[33mWARN \u001b[39m',
  50: '\u001b[31mERROR\u001b[39m',
  60: '\u001b[35mFATAL\u001b[39m',
};

/** One JSON log line as one line for a terminal: `12:00:00.000 INFO  jobs job accepted job_id=…`. */
export function prettyLine(jsonLine: string): string {
  const { level, time, subsystem, msg, ...facts } = JSON.parse(jsonLine) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const shown = Object.entries(facts).map(([name, value]) => `${name}=${shownValue(value)}`);
  const parts = [clock, LEVELS[Number(level)] ?? String(level), subsystem, msg, ...shown];
  return `${parts.filter((part) => part !== undefined).join(' ')}\n`;
}

function shownValue(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

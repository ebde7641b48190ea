const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `now`, `12s ago`, `2m ago`, `5h ago`, `3d ago`. Clocks differ: what lies ahead is `now`. */
export function ago(time: string, nowMs: number): string {
  const sinceMs = nowMs - Date.parse(time);
  if (Number.isNaN(sinceMs)) return time;
  return sinceMs < SECOND_MS ? 'now' : `${roughly(sinceMs)} ago`;
}

/** `in 12s`; `now` once it is over. */
export function ahead(time: string, nowMs: number): string {
  const inMs = Date.parse(time) - nowMs;
  if (Number.isNaN(inMs)) return time;
  return inMs < SECOND_MS ? 'now' : `in ${roughly(inMs)}`;
}

/** The biggest unit only: `59s`, `2m`, `47h`, `3d`. */
export function roughly(durationMs: number): string {
  if (durationMs < MINUTE_MS) return `${Math.floor(durationMs / SECOND_MS)}s`;
  if (durationMs < HOUR_MS) return `${Math.floor(durationMs / MINUTE_MS)}m`;
  if (durationMs < 2 * DAY_MS) return `${Math.floor(durationMs / HOUR_MS)}h`;
  return `${Math.floor(durationMs / DAY_MS)}d`;
}

/** `350ms`, `4.2s`, `1m 20s`, `2h 5m`: two units at most. */
export function elapsed(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < SECOND_MS) return `${Math.round(ms)}ms`;
  if (ms < 10 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)}s`;
  const units: readonly (readonly [number, string, number, string])[] = [
    [DAY_MS, 'd', HOUR_MS, 'h'],
    [HOUR_MS, 'h', MINUTE_MS, 'm'],
    [MINUTE_MS, 'm', SECOND_MS, 's'],
  ];
  for (const [bigMs, big, smallMs, small] of units) {
    if (ms < bigMs) continue;
    const rest = Math.floor((ms % bigMs) / smallMs);
    return `${Math.floor(ms / bigMs)}${big}${rest === 0 ? '' : ` ${rest}${small}`}`;
  }
  return `${Math.floor(ms / SECOND_MS)}s`;
}

/** Local date and time to the second: `2026-11-21 07:30:05`. */
export function localTime(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockTime(date)}`;
}

/** Local time of day to the millisecond: `07:30:05.123`. */
export function timeOfDay(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return `${clockTime(date)}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function clockTime(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Three digits and a unit of 1024: `0 B`, `999 B`, `1.50 KiB`, `12.3 MiB`, `512 MiB`. */
export function bytes(count: number): string {
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** The same in as few characters as can be: `0B`, `468K`, `12.3M`. */
export function shortBytes(count: number): string {
  return bytes(count)
    .replace(' ', '')
    .replace(/([KMGTP])iB$/, '$1');
}

export function percent(part: number, whole: number): string {
  return whole <= 0 ? '0%' : `${Math.min(100, (part / whole) * 100).toFixed(0)}%`;
}

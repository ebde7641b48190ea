import { readFileSync } from 'node:fs';
import type { Config } from './config/settings.ts';

/** What the node keeps for itself: the store, the engine, peers, files that it reads now and then. */
const RESERVED = 128;
/** Of a small limit it keeps no more than this. */
const MAX_RESERVED_SHARE = 0.5;
/** Of the rest, what sessions may take for their second connection, that to the container. */
const SESSION_SHARE = 0.4;

/** How many descriptors this process may have open; undefined where the system does not tell. */
export function descriptorLimit(): number | undefined {
  try {
    // Node itself has raised it as far as it may.
    const [, limit] = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

/**
 * The settings with no more connections than there are descriptors for. Without any left nobody could be told to come again, and the
 * node could neither ask its engine for anything nor have it remove what a client leaves behind.
 */
export function withinDescriptors(config: Config, limit: number | undefined): Config {
  if (limit === undefined) return config;
  const room = limit - Math.min(RESERVED, Math.floor(limit * MAX_RESERVED_SHARE));
  const { 'limits.connections': connections, 'frontdoor.max_sessions': sessions } = config;
  if (connections + sessions <= room) return config;
  const fewerSessions = Math.min(sessions, Math.floor(room * SESSION_SHARE));
  const fewerConnections = Math.min(connections, room - fewerSessions);
  return { ...config, 'limits.connections': fewerConnections, 'frontdoor.max_sessions': fewerSessions };
}

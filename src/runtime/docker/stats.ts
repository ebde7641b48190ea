import { z } from 'zod';
import type { InstanceStats } from '../driver.ts';
import { decode } from './decode.ts';

const cpu = z.object({ cpu_usage: z.object({ total_usage: z.number() }) });

const statsReply = z.object({
  read: z.string(),
  preread: z.string(),
  cpu_stats: cpu,
  precpu_stats: cpu,
  memory_stats: z
    .object({
      usage: z.number().optional(),
      limit: z.number().optional(),
      stats: z.record(z.string(), z.number()).nullish(),
    })
    .default({}),
  pids_stats: z.object({ current: z.number().optional() }).default({}),
  networks: z.record(z.string(), z.object({ rx_bytes: z.number(), tx_bytes: z.number() })).nullish(),
  blkio_stats: z
    .object({
      io_service_bytes_recursive: z.array(z.object({ op: z.string(), value: z.number() })).nullish(),
    })
    .default({}),
});
type StatsReply = z.infer<typeof statsReply>;

/** A sample of both kinds of cgroups; `undefined` when there is nothing to measure, since it does not run. */
export function decodeStats(reply: unknown): InstanceStats | undefined {
  const stats = decode(statsReply, reply, 'stats');
  const { usage, limit } = stats.memory_stats;
  if (usage === undefined) return undefined;
  const networks = Object.values(stats.networks ?? {});
  return {
    cpus: cpusOf(stats),
    memoryBytes: Math.max(0, usage - reclaimableOf(stats, usage)),
    memoryLimitBytes: limit ?? 0,
    networkReceivedBytes: networks.reduce((sum, network) => sum + network.rx_bytes, 0),
    networkSentBytes: networks.reduce((sum, network) => sum + network.tx_bytes, 0),
    blockReadBytes: blockBytes(stats, 'read'),
    blockWrittenBytes: blockBytes(stats, 'write'),
    pids: stats.pids_stats.current ?? 0,
  };
}

/** Nanoseconds of processor per nanosecond of time. */
function cpusOf(stats: StatsReply): number {
  const usedNs = stats.cpu_stats.cpu_usage.total_usage - stats.precpu_stats.cpu_usage.total_usage;
  const elapsedMs = Date.parse(stats.read) - Date.parse(stats.preread);
  // Without a sample before, the engine writes the year 1.
  if (!(Date.parse(stats.preread) > 0) || !(elapsedMs > 0) || usedNs <= 0) return 0;
  return usedNs / (elapsedMs * 1e6);
}

/** File cache that the kernel drops when memory is short: `inactive_file`, which cgroup v1 sums up under another name. */
function reclaimableOf(stats: StatsReply, usage: number): number {
  const detail = stats.memory_stats.stats ?? {};
  const bytes = detail['total_inactive_file'] ?? detail['inactive_file'] ?? 0;
  return bytes < usage ? bytes : 0;
}

function blockBytes(stats: StatsReply, op: 'read' | 'write'): number {
  const entries = stats.blkio_stats.io_service_bytes_recursive ?? [];
  return entries.reduce((sum, entry) => sum + (entry.op.toLowerCase() === op ? entry.value : 0), 0);
}

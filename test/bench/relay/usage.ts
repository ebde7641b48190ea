import { readdirSync, readFileSync } from 'node:fs';

/** Resident memory of a process and of those that it has started, bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return childrenOf(pid).reduce((sum, child) => sum + residentBytes(child), Number(kilobytes) * 1024);
}

/** Time on a processor of the same, all threads, since they began, ms. */
export function processorMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ownMs = threads.reduce((sum, thread) => sum + threadMs(pid, thread), 0);
  return childrenOf(pid).reduce((sum, child) => sum + processorMs(child), ownMs);
}

/** Its first figure is the time it ran, ns. */
function threadMs(pid: number, thread: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

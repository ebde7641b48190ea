import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Row } from './measure/row.ts';
import { readOptions, USAGE, UsageError, type BenchOptions } from './options.ts';
import { MissingProgramError, requireProgram } from './programs.ts';
import { Progress } from './report/progress.ts';
import { RESULTS_FILE, writeResults, type Results } from './report/results-file.ts';
import { surroundings } from './report/surroundings.ts';
import { formatTable } from './report/table.ts';
import type { BenchContext, Suite } from './suite.ts';
import { clusterCatchUp } from './suites/cluster-catch-up.ts';
import { clusterIdle } from './suites/cluster-idle.ts';
import { clusterJoin } from './suites/cluster-join.ts';
import { clusterLatency } from './suites/cluster-latency.ts';
import { clusterRate } from './suites/cluster-rate.ts';
import { cycles } from './suites/cycles.ts';
import { deploys, latency } from './suites/deploys.ts';
import { doorOpen } from './suites/door-open.ts';
import { doorRelay } from './suites/door-relay.ts';
import { create, status } from './suites/requests.ts';
import { startUp } from './suites/start-up.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SUITES: readonly Suite[] = [
  status,
  create,
  cycles,
  deploys,
  latency,
  startUp,
  clusterLatency,
  clusterRate,
  clusterCatchUp,
  clusterIdle,
  clusterJoin,
  doorRelay,
  doorOpen,
];
const PROGRAMS = ['wrk', 'redis-server', 'nginx', 'haproxy', 'gcc', 'taskset'];

async function main(options: BenchOptions): Promise<void> {
  for (const program of PROGRAMS) requireProgram(program);
  const workDir = makeWorkDir();
  try {
    const startedMs = performance.now();
    const found = surroundings(workDir);
    if (found.fileSystem === 'tmpfs')
      throw new Error(`${workDir} is in memory: durability costs nothing there`);
    const { rows, notes } = await runSuites(options, workDir);
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    const at = new Date().toISOString();
    const results: Results = { at, isQuick: options.isQuick, seconds, surroundings: found, notes, rows };
    writeResults(join(ROOT, RESULTS_FILE), results);
    print(results);
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}

async function runSuites(options: BenchOptions, workDir: string): Promise<Pick<Results, 'rows' | 'notes'>> {
  const notes: string[] = [];
  const progress = new Progress();
  const { isQuick, profileDir } = options;
  const note = (text: string): void => void notes.push(text);
  const context: BenchContext = { isQuick, workDir, profileDir, progress, note };
  const rows: Row[] = [];
  for (const suite of SUITES) {
    if (options.only.length > 0 && !options.only.includes(suite.name)) continue;
    progress.suite(suite.title);
    rows.push(...(await suite.run(context)));
  }
  progress.clear();
  return { rows, notes };
}

function print({ surroundings: found, rows, notes, seconds }: Results): void {
  const { cores, processor, node, fileSystem, load } = found;
  console.log(
    `${cores} cores (${processor}, load ${load.toFixed(1)}), Node ${node}, data on ${fileSystem}\n`,
  );
  console.log(formatTable(rows));
  for (const note of notes) console.log(`\n${note}`);
  console.log(`\n${seconds} s; all rounds in ${RESULTS_FILE}`);
}

/** Below node_modules: on the disk the project is on, ignored by git, and not a directory in memory as /tmp may be. */
function makeWorkDir(): string {
  const cache = join(ROOT, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  return mkdtempSync(join(cache, 'container-manager-bench-'));
}

try {
  await main(
    readOptions(
      process.argv.slice(2),
      SUITES.map((suite) => suite.name),
    ),
  );
} catch (error) {
  const isUsage = error instanceof UsageError;
  const isExpected = isUsage || error instanceof MissingProgramError;
  console.error(isExpected ? error.message : error);
  if (isUsage) console.error(`\n${USAGE}`);
  process.exitCode = isUsage ? 2 : 1;
}

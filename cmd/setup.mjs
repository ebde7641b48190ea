#!/usr/bin/env node
// Makes a fresh machine ready: npm packages with Node 24, a Docker Engine, and what tests and benchmarks start. It runs
// on the system's own Node (20 or later), before anything is installed, so it may import nothing but Node itself.
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { engineAddresses, pingAll, planEngine } from './setup/engine.mjs';
import { hasSystemd, startEngine, waitForSilentEngine } from './setup/engine-start.mjs';
import { withLock } from './setup/lock.mjs';
import {
  buildPackages,
  hasBenchPackage,
  installBenchPackage,
  installPackages,
  installReason,
  isLocalNodeReady,
} from './setup/npm-packages.mjs';
import { SetupError, seconds, step } from './setup/progress.mjs';
import {
  ENGINE_PACKAGES,
  aptInstall,
  disableServices,
  findProgram,
  isDebianLike,
  missingPackages,
  missingPackagesMessage,
  wantedPackages,
} from './setup/system-packages.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MIN_NODE_MAJOR = 20;
const HELP = `Usage: node cmd/setup.mjs [options]

Installs the npm packages with their own Node 24, and makes sure that a Docker Engine answers.
What is there already is left alone.

Options:
  --for-tests  the programs that the tests start, too
  --for-bench  the programs that the benchmarks start, too
  --help       this text
`;

/** What is missing on this machine, found without changing anything. */
async function survey(wanted) {
  const isDebian = isDebianLike();
  const machine = {
    isExplicit: Boolean(process.env.DOCKER_HOST),
    isRoot: process.getuid?.() === 0,
    isDebian,
    hasDockerd: findProgram('dockerd') !== undefined,
    platform: process.platform,
  };
  const reason = installReason(ROOT);
  return {
    machine,
    installReason: reason,
    needsBenchPackage: wanted.forBench === true && !hasBenchPackage(ROOT),
    needsBuild: reason !== undefined || !isLocalNodeReady(ROOT),
    engine: planEngine(await pingAll(engineAddresses(process.env)), machine),
    missing: missingPackages(wantedPackages(wanted), isDebian),
  };
}

function isReady({ needsBuild, needsBenchPackage, engine, missing }) {
  return !needsBuild && !needsBenchPackage && engine.kind === 'ready' && missing.length === 0;
}

/** Says at once what this set-up cannot mend, before anything that takes long. */
function refuseWhatWeCannotDo({ machine, engine, missing }) {
  if (engine.kind === 'ask') throw new SetupError(engine.message);
  if (missing.length > 0 && !(machine.isRoot && machine.isDebian)) {
    throw new SetupError(missingPackagesMessage(missing, machine.isDebian));
  }
}

async function installSystemPackages({ engine, missing }) {
  const names = [...(engine.needsInstall ? ENGINE_PACKAGES : []), ...missing.map((row) => row.debian)];
  if (names.length === 0) return;
  await step(`installing ${names.join(', ')} (apt-get)`, () => aptInstall(names));
  const services = missing.flatMap((row) => row.service ?? []);
  if (hasSystemd()) await disableServices(services);
}

async function makeReady(found) {
  refuseWhatWeCannotDo(found);
  if (found.installReason !== undefined) {
    await step(`installing the npm packages, because ${found.installReason}`, () => installPackages(ROOT));
  }
  if (found.needsBuild) await step('installing Node 24', () => buildPackages(ROOT));
  if (found.needsBenchPackage) {
    await step('installing what the benchmarks compare with', () => installBenchPackage(ROOT));
  }
  await installSystemPackages(found);
  const { kind, address } = found.engine;
  if (kind === 'start') await step(`starting the Docker Engine at ${address}`, () => startEngine(address));
  if (kind === 'wait')
    await step(`waiting for the Docker Engine at ${address}`, () => waitForSilentEngine(address));
}

async function main() {
  const startedMs = performance.now();
  const { values } = parseArgs({
    options: {
      'for-tests': { type: 'boolean' },
      'for-bench': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const nodeMajor = Number(process.versions.node.split('.')[0]);
  if (nodeMajor < MIN_NODE_MAJOR) {
    throw new SetupError(
      `This is Node ${process.versions.node}; the set-up needs ${MIN_NODE_MAJOR} or later.`,
    );
  }
  const wanted = { forTests: values['for-tests'], forBench: values['for-bench'] };
  const found = await survey(wanted);
  if (!isReady(found)) {
    refuseWhatWeCannotDo(found);
    const lockFolder = join(tmpdir(), `container-manager-setup-${userInfo().uid}.lock`);
    const onWait = (pid) => process.stderr.write(`set-up: waiting for another set-up (process ${pid})\n`);
    // Another set-up may have done it all while this one waited, so what is missing is found out again.
    await withLock(lockFolder, async () => makeReady(await survey(wanted)), { onWait });
  }
  process.stderr.write(`set-up: ready (${seconds(performance.now() - startedMs)})\n`);
}

try {
  await main();
} catch (error) {
  const isUsage = error.code?.startsWith('ERR_PARSE_ARGS');
  const isExpected = isUsage || error instanceof SetupError;
  process.stderr.write(`set-up: ${isExpected ? error.message : error.stack}\n`);
  process.exitCode = isUsage ? 2 : 1;
}

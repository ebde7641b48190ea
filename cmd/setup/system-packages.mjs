import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, systemEnvironment } from './command.mjs';

/**
 * The programs that tests and benchmarks start, with the Debian package each comes in. `service` is what the package
 * would run by itself from then on, which nobody asked for.
 */
export const SYSTEM_PACKAGES = [
  {
    debian: 'busybox-static',
    program: 'busybox',
    for: 'tests',
    why: 'the images of the tests are made of it',
  },
  {
    debian: 'docker-registry',
    program: 'docker-registry',
    for: 'tests',
    why: 'a real registry to pull from',
    service: 'docker-registry',
  },
  {
    debian: 'docker-compose',
    program: 'docker-compose',
    for: 'tests',
    why: 'starts the cluster of two nodes',
  },
  { debian: 'strace', program: 'strace', for: 'tests', why: 'counts fsyncs and makes them fail' },
  { debian: 'xfsprogs', program: 'xfs_io', for: 'tests', why: 'cuts the power of a file system' },
  { debian: 'e2fsprogs', program: 'mkfs.ext4', for: 'tests', why: 'makes the other file system to cut' },
  { debian: 'iproute2', program: 'ip', for: 'tests', why: 'gives nodes networks of their own' },
  { debian: 'iptables', program: 'iptables', for: 'tests', why: 'cuts nodes off, and loses their packets' },
  { debian: 'faketime', program: 'faketime', for: 'tests', why: 'sets the clock of one node' },
  {
    debian: 'gcc',
    program: 'gcc',
    for: 'tests',
    why: 'makes the controllers that are looked into, and that clients are led to',
  },
  { debian: 'libc6-dev', program: 'gcc', for: 'tests', why: 'what the compiler needs to make programs' },
  {
    debian: 'chromium',
    program: 'chromium',
    for: 'tests',
    why: 'a real browser, to show what a web page cannot do to a node',
  },
  { debian: 'wrk', program: 'wrk', for: 'bench', why: 'makes the load of the benchmarks' },
  {
    debian: 'redis-server',
    program: 'redis-server',
    for: 'bench',
    why: 'the store of the queue that ours is measured against',
    service: 'redis-server',
  },
  {
    debian: 'nginx-light',
    program: 'nginx',
    for: 'bench',
    why: 'a proxy that the front door is measured against',
    service: 'nginx',
  },
  {
    debian: 'haproxy',
    program: 'haproxy',
    for: 'bench',
    why: 'another proxy that the front door is measured against',
    service: 'haproxy',
  },
  { debian: 'gcc', program: 'gcc', for: 'bench', why: 'compiles the load of the front door, and its echo' },
  { debian: 'libc6-dev', program: 'gcc', for: 'bench', why: 'what the compiler needs for these' },
  { debian: 'util-linux', program: 'taskset', for: 'bench', why: 'gives what is measured a core of its own' },
];

/** What brings a Docker Engine on Debian and Ubuntu. */
export const ENGINE_PACKAGES = ['docker.io', 'iptables'];

const APT_TIMEOUT_MS = 10 * 60_000;
/** Another apt may be at work; it is waited for. */
const APT_LOCK_WAIT_SECONDS = 120;

/**
 * Installed services are neither started nor restarted: `invoke-rc.d` sees a single-user machine, `systemctl` believes
 * that there is no systemd to talk to. Nothing of that outlives the command.
 */
export const QUIET_APT_ENVIRONMENT = {
  DEBIAN_FRONTEND: 'noninteractive',
  RUNLEVEL: '1',
  PREVLEVEL: 'N',
  SYSTEMD_OFFLINE: '1',
};

/** The rows of the table that the given purposes ask for. */
export function wantedPackages({ forTests, forBench }) {
  return SYSTEM_PACKAGES.filter(
    (row) => (row.for === 'tests' && forTests) || (row.for === 'bench' && forBench),
  );
}

/** The packages that dpkg says are installed, out of its answer to `${Package} ${db:Status-Status}`. */
export function parseInstalled(dpkgOutput) {
  const rows = dpkgOutput.split('\n').map((line) => line.split(' '));
  return new Set(rows.filter(([, status]) => status === 'installed').map(([name]) => name));
}

function isInstalledByDpkg(rows) {
  const query = ['-W', '-f', '${Package} ${db:Status-Status}\n', ...rows.map((row) => row.debian)];
  const installed = parseInstalled(spawnSync('dpkg-query', query, { encoding: 'utf8' }).stdout ?? '');
  return (row) => installed.has(row.debian);
}

/** Where a program is, or undefined; the folders of the administrator's programs count too. */
export function findProgram(program, path = process.env.PATH ?? '') {
  const folders = [...path.split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The wanted rows whose package (on Debian) or program (elsewhere) is not there. */
export function missingPackages(rows, isDebian) {
  if (rows.length === 0) return [];
  const isThere = isDebian ? isInstalledByDpkg(rows) : (row) => findProgram(row.program) !== undefined;
  return rows.filter((row) => !isThere(row));
}

/** The message for whoever must install the missing packages by hand. */
export function missingPackagesMessage(missing, isDebian) {
  const list = missing.map((row) => `  ${isDebian ? row.debian : row.program}: ${row.why}`).join('\n');
  const remedy = isDebian
    ? `Run: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.map((row) => row.debian).join(' ')}`
    : `Install them with this system's package manager (in Debian they are called ${missing.map((row) => row.debian).join(', ')}).`;
  return `Programs that the tests start are missing:\n${list}\n${remedy}`;
}

/** Whether this is Debian or made of it. */
export function isDebianLike() {
  return (
    process.platform === 'linux' && existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined
  );
}

/** Installs Debian packages, as root, and starts none of their services. */
export async function aptInstall(names) {
  const env = { ...systemEnvironment(process.env), ...QUIET_APT_ENVIRONMENT };
  const apt = ['apt-get', '-o', `DPkg::Lock::Timeout=${APT_LOCK_WAIT_SECONDS}`];
  const options = { env, timeoutMs: APT_TIMEOUT_MS };
  await run('Reading the package lists', [...apt, 'update'], options);
  await run('Installing packages', [...apt, 'install', '-y', '--no-install-recommends', ...names], options);
}

/** Keeps services from starting with the machine, where there is a systemd that would start them. */
export async function disableServices(services) {
  if (services.length === 0) return;
  await run('Keeping services off', ['systemctl', 'disable', '--now', ...services], { timeoutMs: 60_000 });
}

import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ENGINE_PACKAGES } from './system-packages.mjs';

const PING_TIMEOUT_MS = 3_000;

/**
 * Where an engine may be, best first: the address the user set and no other, or else the usual sockets.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {string[]}
 */
export function engineAddresses(env, home = homedir()) {
  if (env.DOCKER_HOST) return [env.DOCKER_HOST];
  const sockets = ['/var/run/docker.sock'];
  if (env.XDG_RUNTIME_DIR) sockets.push(join(env.XDG_RUNTIME_DIR, 'docker.sock'));
  sockets.push(join(home, '.docker', 'run', 'docker.sock'));
  return sockets.map((path) => `unix://${path}`);
}

/** How to reach an address by HTTP, or undefined when this program cannot (TLS, ssh, Windows pipes). */
export function connectionOf(address, env) {
  if (address.startsWith('unix://')) return { socketPath: address.slice('unix://'.length) };
  if (address.startsWith('/')) return { socketPath: address };
  const plain = /^(?:tcp|http):\/\/(\[[^\]]+\]|[^:/]+)(?::(\d+))?\/?$/.exec(address);
  if (plain === null || env.DOCKER_TLS_VERIFY) return undefined;
  return { host: plain[1].replace(/^\[|\]$/g, ''), port: Number(plain[2] ?? 2375) };
}

/**
 * What an address answers: `answers`; `absent`, nobody listens; `denied`, this user may not connect; `silent`, somebody
 * listens and says nothing; `broken`, an answer that is no engine's; `unknown`, it cannot be asked from here.
 */
export function ping(address, env = process.env, timeoutMs = PING_TIMEOUT_MS) {
  const connection = connectionOf(address, env);
  if (connection === undefined) return Promise.resolve('unknown');
  return new Promise((resolve) => {
    const asked = request({
      ...connection,
      path: '/_ping',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
    });
    asked.on('response', (response) => {
      response.destroy();
      resolve(response.statusCode === 200 ? 'answers' : 'broken');
    });
    asked.on('error', (error) => resolve(outcomeOf(error)));
    asked.end();
  });
}

/** The word for a connection's failure. */
export function outcomeOf(error) {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'silent';
  if (error.code === 'EACCES' || error.code === 'EPERM') return 'denied';
  return error.code?.startsWith('HPE_') || error.code === 'ECONNRESET' ? 'broken' : 'absent';
}

/** Asks every address at once. Returns rows of address and outcome, in the order of the addresses. */
export function pingAll(addresses, env = process.env) {
  return Promise.all(addresses.map(async (address) => ({ address, outcome: await ping(address, env) })));
}

const APT_COMMAND = `apt-get update && sudo apt-get install -y --no-install-recommends ${ENGINE_PACKAGES.join(' ')}`;

/**
 * What to do about the engine: nothing (`ready`), wait for one that is there but silent (`wait`), start one, after an
 * installation where `needsInstall` says so (`start`), or `ask` the user by one message.
 *
 * @param {{ address: string, outcome: string }[]} answers
 * @param {{ isExplicit: boolean, isRoot: boolean, isDebian: boolean, hasDockerd: boolean, platform: string }} machine
 */
export function planEngine(answers, machine) {
  const withOutcome = (outcome) => answers.find((answer) => answer.outcome === outcome)?.address;
  const ready = withOutcome('answers') ?? withOutcome('unknown');
  if (ready !== undefined) return { kind: 'ready', address: ready };
  const silent = withOutcome('silent');
  if (silent !== undefined) return { kind: 'wait', address: silent };
  if (machine.isExplicit) return ask(explicitMessage(answers[0]));
  const denied = withOutcome('denied');
  if (denied !== undefined) return ask(deniedMessage(denied));
  if (machine.platform === 'linux' && machine.isRoot && (machine.hasDockerd || machine.isDebian)) {
    return { kind: 'start', address: answers[0].address, needsInstall: !machine.hasDockerd };
  }
  return ask(absentMessage(machine));
}

function ask(message) {
  return { kind: 'ask', message };
}

function explicitMessage({ address, outcome }) {
  const what = outcome === 'denied' ? 'this user may not connect to it' : 'no Docker Engine answers there';
  return `DOCKER_HOST is ${address}, but ${what}. Start that engine, or use the usual one. Run: unset DOCKER_HOST`;
}

function deniedMessage(address) {
  return `A Docker Engine is at ${address}, but this user may not connect to it. Run: sudo usermod -aG docker "$USER" && newgrp docker`;
}

function absentMessage({ platform, isDebian, hasDockerd }) {
  const start = 'No Docker Engine answers on this machine, and';
  if (platform === 'darwin') return `${start} this set-up cannot start one on macOS. Run: open -a Docker`;
  if (platform !== 'linux')
    return `${start} this set-up can start one on Linux only. Start Docker and try again.`;
  if (hasDockerd)
    return `${start} only root can start the one that is installed. Run: sudo service docker start`;
  if (isDebian)
    return `${start} only root can install one. Run: sudo ${APT_COMMAND} && sudo service docker start`;
  return `${start} this set-up installs one on Debian and Ubuntu only. Install Docker Engine, then run: sudo systemctl start docker`;
}

import { spawn } from 'node:child_process';
import { delimiter, sep } from 'node:path';
import { SetupError } from './progress.mjs';

/** How much of a command's output is kept for the message of its failure. */
export const MAX_TAIL_LINES = 20;
const MAX_TAIL_BYTES = 16 * 1024;

/** The last lines of a text, blank ones left out, each with a margin. */
export function lastLines(text, maxLines = MAX_TAIL_LINES) {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines
    .slice(-maxLines)
    .map((line) => `  ${line}`)
    .join('\n');
}

/**
 * The environment without the `node_modules/.bin` folders that npm puts on the path of its scripts: a Node that is
 * being replaced must not run its own replacement.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function systemEnvironment(env) {
  const localPrograms = ['node_modules', '.bin'].join(sep);
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => !folder.endsWith(localPrograms));
  return { ...env, PATH: folders.join(delimiter) };
}

/**
 * Runs a command to its end, silently. When it fails, cannot be started, or takes longer than `timeoutMs` (it is then
 * killed), the error names the step, the command and the last lines of its output.
 *
 * @param {string} stepName
 * @param {readonly string[]} command the program and its arguments
 * @param {{ timeoutMs: number, cwd?: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<void>}
 */
export function run(stepName, command, { timeoutMs, cwd, env = systemEnvironment(process.env) }) {
  const [program, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    let tail = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        tail = (tail + text).slice(-MAX_TAIL_BYTES);
      });
    }
    const fail = (reason) => {
      const output = tail.trim() === '' ? '' : `\nIts last output:\n${lastLines(tail)}`;
      reject(new SetupError(`${stepName} failed: \`${command.join(' ')}\` ${reason}.${output}`));
    };
    child.on('error', (error) => fail(`could not be started (${error.code ?? error.message})`));
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else if (code !== null) fail(`ended with exit code ${code}`);
      else fail(`was ended by ${signal}${child.killed ? ` after ${timeoutMs / 1000} s` : ''}`);
    });
  });
}

import { createHash } from 'node:crypto';
import { canonicalJson } from '../../kernel/canonical-json.ts';
import { sleep } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { InstanceId } from '../../kernel/ids.ts';
import { LinkedSignal } from '../../kernel/linked-signal.ts';
import { isNobodyThere } from '../../kernel/nobody-there.ts';
import type { InstanceExit } from '../../runtime/driver.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { logTail } from '../../runtime/log-tail.ts';
import { reachOf } from '../../runtime/reach.ts';
import { type Controller, IMAGE_ENV } from '../controller.ts';
import { plainLine } from '../plain-line.ts';
import type { CatalogDeps } from '../ports.ts';
import type { BriefContainers, BriefPlan } from '../brief-containers.ts';
import { type DisconAnswer, firstCall, readAnswer } from './discon-call.ts';
import { callOnce } from './web-socket-call.ts';

/** Times in ms, memory in bytes. What an entry says of its own resources and start comes before these. */
export interface LiveTestOptions {
  /** The only network that the container is in. */
  readonly network: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly startTimeoutMs: number;
  /** For the handshake and the answer together. */
  readonly answerTimeoutMs: number;
}

export interface LiveTestReport {
  readonly passed: boolean;
  /** In one sentence. */
  readonly info: string;
  readonly imageId: string;
  /** Of one that passed: from its start until it accepted the connection, and from then until its answer, ms. */
  readonly startMs?: number;
  readonly answerMs?: number;
  readonly answer?: DisconAnswer;
}

export interface LiveTestDeps extends CatalogDeps {
  readonly containers: BriefContainers;
}

/** Between two tries at one that does not accept connections yet, ms. */
const RETRY_PAUSE_MS = 100;
const FINGERPRINT_LENGTH = 16;

/**
 * Starts a controller once, makes the first call of a simulation and reports the answer. The container has no capability, writes
 * no file but temporary ones and those beside where it begins, has the limits of any other, and is removed whatever happens.
 */
export class LiveTest {
  readonly #options: LiveTestOptions;
  readonly #deps: LiveTestDeps;

  constructor(options: LiveTestOptions, deps: LiveTestDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** What a test of this entry depends on beside its image, library and procedure. */
  static fingerprint({ env, resources, ports }: Controller): string {
    const text = canonicalJson({ env, resources, ports });
    return createHash('sha256').update(text).digest('hex').slice(0, FINGERPRINT_LENGTH);
  }

  /** Fails as the engine does, when that is away or has no such image: then nothing is known. */
  async run(controller: Controller, signal: AbortSignal): Promise<LiveTestReport> {
    const { driver, containers } = this.#deps;
    const image = await driver.findImage(controller.image, signal);
    if (image === undefined)
      throw new RuntimeError('image_not_found', `image ${controller.image} is not on this host`);
    const plan = this.#plan(controller, image.workingDir);
    return containers.use(plan, async (id) => ({
      imageId: image.id,
      ...(await this.#try(id, controller, signal)),
    }));
  }

  async #try(
    id: InstanceId,
    controller: Controller,
    signal: AbortSignal,
  ): Promise<Omit<LiveTestReport, 'imageId'>> {
    const { driver, clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    try {
      await driver.start(id);
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'start_failed') throw error;
      return failed(error.message);
    }
    const limitMs = controller.start_timeout ?? this.#options.startTimeoutMs;
    for (;;) {
      const view = await driver.inspect(id, signal);
      if (view === undefined) throw new RuntimeError('not_found', `container ${id} was removed by somebody`);
      if (view.exit !== undefined) {
        const lastLine = (await logTail(driver, id)).split('\n').at(-1) ?? '';
        const said = lastLine === '' ? '' : `: ${lastLine}`;
        return failed(`the container ended ${howItEnded(view.exit)}${said}`);
      }
      const askedMs = clock.monotonicMs();
      const startMs = askedMs - startedMs;
      const found = await this.#ask(reachOf(view, controller.ports.internal), controller, signal);
      if (found instanceof Error) return failed(found.message);
      if (found !== undefined)
        return passed(controller, { ...found, startMs, answerMs: clock.monotonicMs() - askedMs });
      if (startMs >= limitMs) return failed(`it accepted no connection within ${limitMs} ms`);
      await sleep(clock, RETRY_PAUSE_MS, signal);
    }
  }

  /** Undefined while nobody is there to be asked. */
  async #ask(
    at: ReturnType<typeof reachOf>,
    controller: Controller,
    signal: AbortSignal,
  ): Promise<{ readonly answer: DisconAnswer } | Error | undefined> {
    if (at === undefined) return undefined;
    const limitMs = this.#options.answerTimeoutMs;
    using limited = new LinkedSignal([signal], { clock: this.#deps.clock, limitMs });
    const host = at.host.includes(':') ? `[${at.host}]` : at.host;
    const query = new URLSearchParams({ path: controller.library_path, proc: controller.proc_name });
    try {
      const bytes = await callOnce(
        `ws://${host}:${at.port}/ws?${query.toString()}`,
        firstCall(),
        limited.signal,
      );
      return { answer: readAnswer(bytes) };
    } catch (error) {
      signal.throwIfAborted();
      if (limited.isTimedOut) return new Error(`it gave no answer within ${limitMs} ms`);
      return isNobodyThere(error) ? undefined : new Error(`it answered wrongly: ${messageOf(error)}`);
    }
  }

  #plan({ image, env, resources }: Controller, workingDir: string): BriefPlan {
    const { network, memoryBytes, cpus, pids } = this.#options;
    const hasDirectory = workingDir !== '/';
    return {
      image,
      entrypoint: undefined,
      arguments: [],
      env: { ...IMAGE_ENV, ...env },
      // Servers put copies of a library beside themselves.
      workingDir: hasDirectory ? undefined : '/tmp',
      files: { writable: hasDirectory ? [workingDir] : [] },
      user: undefined,
      hasCapabilities: false,
      network,
      ports: [],
      memoryBytes: resources?.memory ?? memoryBytes,
      cpus: resources?.cpu ?? cpus,
      pids: resources?.pids ?? pids,
      stopSignal: undefined,
      healthcheck: undefined,
    };
  }
}

function passed(
  { proc_name: procName }: Controller,
  found: { readonly answer: DisconAnswer; readonly startMs: number; readonly answerMs: number },
): Omit<LiveTestReport, 'imageId'> {
  const { fail, message } = found.answer;
  const what = `${procName} answered ${fail}${message === '' ? '' : `: ${message}`}`;
  return { ...found, passed: true, info: plainLine(`Live test passed: ${what}`) };
}

function failed(why: string): Omit<LiveTestReport, 'imageId'> {
  return { passed: false, info: plainLine(`Live test failed: ${why}`) };
}

function howItEnded({ exitCode, signal, oomKilled }: InstanceExit): string {
  if (oomKilled) return 'because it took more memory than it may have';
  return signal === undefined ? `with exit code ${exitCode}` : `by ${signal}`;
}

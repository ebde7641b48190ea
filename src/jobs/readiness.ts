import { connect } from 'node:net';
import { sleep, type Clock } from '../kernel/clock.ts';
import type { InstanceId } from '../kernel/ids.ts';
import type { InstanceView, RuntimeDriver } from '../runtime/driver.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { reachOf } from '../runtime/reach.ts';
import { DeployFailure, outcomeOfExit } from './failure.ts';
import type { JobSpec } from './spec.ts';

/** Between two looks at a container that is not ready yet: quick at first, since most are ready at once. */
const FIRST_PROBE_DELAY_MS = 20;
const MAX_PROBE_DELAY_MS = 500;
/** A port that does not answer a connect within this is not ready. */
const CONNECT_TIMEOUT_MS = 1_000;

export interface ReadinessDeps {
  readonly driver: RuntimeDriver;
  readonly clock: Clock;
  readonly settleMs: number;
}

/**
 * Resolves with the container once it is ready: healthy where it has a healthcheck, else connectable where a TCP port
 * is declared, else up for the settle time. Without any of these one look is enough, and a container that has exited
 * by then is given back as it is. Fails with a `DeployFailure` when it exits or turns unhealthy before it was ready.
 */
export async function awaitReady(
  id: InstanceId,
  spec: JobSpec,
  deps: ReadinessDeps,
  signal: AbortSignal,
): Promise<InstanceView> {
  const startedMs = deps.clock.monotonicMs();
  for (let delayMs = FIRST_PROBE_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_PROBE_DELAY_MS)) {
    const view = await deps.driver.inspect(id, signal);
    if (view === undefined) throw new RuntimeError('not_found', `container ${id} is gone`);
    const hasProbe = view.health !== 'none' || spec.healthcheck !== undefined || deps.settleMs > 0;
    if (!hasProbe) return view;
    if (view.exit !== undefined) throw exitedDuringStart(view);
    if (await isReady(view, spec, deps, startedMs)) return view;
    await sleep(deps.clock, delayMs, signal);
  }
}

async function isReady(
  view: InstanceView,
  spec: JobSpec,
  deps: ReadinessDeps,
  startedMs: number,
): Promise<boolean> {
  if (view.health === 'unhealthy') {
    throw new DeployFailure({
      reason: 'unhealthy',
      message: 'the healthcheck failed while starting',
      retryable: true,
    });
  }
  if (view.health !== 'none') return view.health === 'healthy';
  const tcp = spec.healthcheck?.tcp;
  if (tcp !== undefined) return acceptsConnections(view, tcp);
  return deps.clock.monotonicMs() - startedMs >= deps.settleMs;
}

function exitedDuringStart(view: InstanceView): DeployFailure {
  const exit = view.exit ?? {
    exitCode: 0,
    signal: undefined,
    oomKilled: false,
    finishedAtMs: 0,
    message: undefined,
  };
  const outcome = outcomeOfExit(exit);
  return new DeployFailure({
    ...outcome,
    reason: 'exited_during_start',
    message: `${outcome.message} before it was ready`,
    retryable: true,
  });
}

function acceptsConnections(view: InstanceView, containerPort: number): Promise<boolean> {
  const target = reachOf(view, containerPort);
  if (target === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect(target);
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle(false));
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

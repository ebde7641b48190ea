import { DockerDriver } from '../../../src/runtime/docker/docker-driver.ts';
import { type Behaviour, describeRuntimeDriver } from '../../conformance/runtime-driver.ts';
import { DockerRun, importImage } from '../../support/docker.ts';
import { TestRegistry } from '../../support/registry.ts';

/** The behaviour as a shell script. */
function script({ stdout = [], stderr = [], exitCode, exitAfterMs, ignoresStopSignal }: Behaviour): string[] {
  const steps = [
    ...(ignoresStopSignal === true ? ["trap '' TERM"] : []),
    ...stdout.map((line) => `echo ${line}`),
    ...stderr.map((line) => `echo ${line} >&2`),
    ...(exitAfterMs === undefined ? [] : [`sleep ${exitAfterMs / 1000}`]),
    exitCode === undefined
      ? ignoresStopSignal === true
        ? 'sleep 600'
        : 'exec sleep 600'
      : `exit ${exitCode}`,
  ];
  return ['sh', '-c', steps.join('; ')];
}

describeRuntimeDriver('DockerDriver', async () => {
  const run = await DockerRun.start();
  const registry = await TestRegistry.start(run.docker);
  const driver = new DockerDriver();
  return {
    driver,
    labels: run.labels,
    plan: (behaviour = {}) => run.plan({ arguments: script(behaviour) }),
    impossible: { user: 'no-such-user' },
    unknownImage: `${registry.address}/no-such-image:1`,
    preparePull: () =>
      registry.push(`app-${run.id.slice(0, 8)}`, (docker, reference) => importImage(docker, reference)),
    makeImage: (image) => run.makeImage(image),
    removeImage: async (reference) => {
      await run.docker.getImage(reference).remove();
    },
    [Symbol.asyncDispose]: async () => {
      await driver[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await run[Symbol.asyncDispose]();
    },
  };
});

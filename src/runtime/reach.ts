import type { PortPlan } from './driver.ts';

/**
 * Where a port of a running container is reached from here: at its own address, since the engine's proxy in front of a published
 * port accepts connections before anybody listens behind it. Only where containers live in a virtual machine is there nothing
 * but the port that is published.
 */
export function reachOf(
  instance: { readonly address?: string | undefined; readonly ports?: readonly PortPlan[] | undefined },
  containerPort: number,
): { readonly host: string; readonly port: number } | undefined {
  const published = instance.ports?.find(
    (port) => port.containerPort === containerPort && port.protocol === 'tcp',
  );
  if (process.platform !== 'linux' && published !== undefined)
    return { host: published.hostAddress, port: published.hostPort };
  return instance.address === undefined ? undefined : { host: instance.address, port: containerPort };
}

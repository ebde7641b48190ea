import type { RpcClient } from '../../../../src/api/client.ts';
import type { ControllerView } from '../../../../src/api/wire.ts';
import type { Cli } from '../../cli.ts';
import type { ClientOptions, OutputFormat } from '../../client-options.ts';

export interface ControllerOptions extends ClientOptions {
  readonly version?: string;
  readonly yes?: true;
}

export interface ControllerSurroundings {
  readonly cli: Cli;
  readonly client: RpcClient;
  readonly format: OutputFormat;
}

/** What is done with the operand: an id, a file, or nothing. */
export type ControllerAction = (
  operand: string,
  options: ControllerOptions,
  surroundings: ControllerSurroundings,
) => Promise<void>;

/** As people name one. */
export function nameOf({ id, version }: { readonly id: string; readonly version?: string }): string {
  return version === undefined || version === '' ? id : `${id}@${version}`;
}

/** The key that a call takes. */
export function keyOf(id: string, { version }: ControllerOptions): { id: string; version?: string } {
  return version === undefined ? { id } : { id, version };
}

/** Whether connections are led to it, and why not. */
export function verdictOf({ is_valid: isValid, validate_info: info }: ControllerView): string {
  if (isValid) return 'valid';
  return info === undefined ? 'invalid' : `invalid: ${info}`;
}

import { CodedError } from '../../src/kernel/errors.ts';

/** The command line does not say what can be done. `nextStep` is a sentence without a full stop. */
export class UsageError extends CodedError<'usage'> {
  override readonly name = 'UsageError';
  readonly nextStep: string | undefined;

  constructor(message: string, nextStep?: string) {
    super('usage', message);
    this.nextStep = nextStep;
  }
}

/** Ends the program with this code, when everything there is to say has been said. */
export class ExitRequest extends Error {
  override readonly name = 'ExitRequest';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

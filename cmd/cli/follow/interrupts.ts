import { EXIT_BY_SIGNAL } from '../exit-codes.ts';

/** What the signals of the terminal ask of a command that follows a job. */
export interface InterruptActions {
  /** The first Ctrl-C. */
  readonly onFirst: () => void;
  /** The second one, or a request to end: the job is left alone. The exit code is given. */
  readonly onLeave: (exitCode: number) => void;
}

/** Listens until it is disposed of. */
export function onInterrupts({ onFirst, onLeave }: InterruptActions): Disposable {
  let count = 0;
  const onInterrupt = (): void => {
    count += 1;
    if (count === 1) onFirst();
    else onLeave(EXIT_BY_SIGNAL.SIGINT);
  };
  const onTerminate = (): void => onLeave(EXIT_BY_SIGNAL.SIGTERM);
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  return {
    [Symbol.dispose]: () => {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    },
  };
}

import type { Answer, Ask } from '../child.ts';

export type Handlers = Readonly<Record<string, (value: never) => Promise<unknown>>>;

/** For what `close` cannot end, ms. */
const CLOSE_LIMIT_MS = 5_000;

/** Answers what the parent asks until it is gone, then closes and ends this process. */
export function serveParent(handlers: Handlers, close: () => Promise<void>): void {
  const answer = (reply: Answer): void => void process.send?.(reply);
  process.on('message', ({ id, name, value }: Ask) => {
    const handler = handlers[name];
    if (handler === undefined) return answer({ id, error: `nobody answers ${name}` });
    handler(value as never).then(
      (result) => answer({ id, value: result }),
      (error: unknown) =>
        answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), CLOSE_LIMIT_MS).unref();
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}

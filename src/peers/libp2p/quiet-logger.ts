import type { ComponentLogger, Logger } from '@libp2p/interface';

const silence: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => silence,
});

/** libp2p's own lines hold what strangers sent; what an operator needs is logged by us. */
export const quietLogger: ComponentLogger = { forComponent: () => silence };

/** The engine answered, and its status says that the call failed. */
export class EngineStatusError extends Error {
  override readonly name = 'EngineStatusError';
  readonly status: number;
  /** The engine's own words. */
  readonly engineMessage: string;

  constructor(status: number, engineMessage: string) {
    super(`HTTP ${status}: ${engineMessage}`);
    this.status = status;
    this.engineMessage = engineMessage;
  }
}

/** The engine answered something that cannot be read: no JSON, the wrong shape, or too much of it. */
export class UnreadableReplyError extends Error {
  override readonly name = 'UnreadableReplyError';
}

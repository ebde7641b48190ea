/** What outlives the process: whether the node was drained. */
export interface DrainMark {
  readonly isSet: boolean;
  /** Durable when it returns. Twice is as once. */
  set(): void;
  clear(): void;
}

export interface NodeDrainDependencies {
  readonly jobs: { setCordoned(isCordoned: boolean): void };
  readonly mark: DrainMark;
  readonly logger: { info(facts: object, message: string): void; warn(facts: object, message: string): void };
}

/** Takes a node out of service, so that it can be mended or shut down when its jobs have ended, and back into it. */
export class NodeDrain {
  readonly #deps: NodeDrainDependencies;
  #isDrained: boolean;

  constructor(deps: NodeDrainDependencies) {
    this.#deps = deps;
    this.#isDrained = deps.mark.isSet;
    deps.jobs.setCordoned(this.#isDrained);
    if (this.#isDrained) deps.logger.warn({}, 'node is drained, as it was before: it accepts no new jobs');
  }

  get isDrained(): boolean {
    return this.#isDrained;
  }

  drain(): void {
    this.#set(true);
  }

  undrain(): void {
    this.#set(false);
  }

  #set(isDrained: boolean): void {
    if (isDrained === this.#isDrained) return;
    const { jobs, mark, logger } = this.#deps;
    // First what outlives the process: who was told that it is drained can rely on it.
    if (isDrained) mark.set();
    else mark.clear();
    this.#isDrained = isDrained;
    jobs.setCordoned(isDrained);
    logger.info(
      {},
      isDrained ? 'node drained: it accepts no new jobs' : 'node undrained: it accepts jobs again',
    );
  }
}

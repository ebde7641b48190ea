/**
 * What the parts of the node tell the counters: one function per event. Durations are ms; they become seconds where
 * they are counted. Texts come from closed sets such as states and codes, never from a client; a set that grows too
 * large all the same is counted as `other`. Nothing here throws or waits.
 */
export interface Telemetry {
  jobAccepted(): void;
  jobRefused(reason: string): void;
  /** A Create whose place was to be chosen, or whose key others were asked for, ended. */
  jobPlaced(outcome: PlacementOutcome): void;
  /** `from` is `undefined` for a new job, and `inStateMs` is then left aside. */
  jobStateChanged(from: string | undefined, to: string, inStateMs: number): void;
  jobEnded(state: string, reason: string, durationMs: number): void;
  /** A worker brought a container up. */
  deployed(durationMs: number): void;
  pullEnded(outcome: string, bytes: number, durationMs: number): void;
  engineCall(call: string, outcome: string, durationMs: number): void;
  engineUp(isUp: boolean): void;
  /** One comparison of jobs with the engine: how often each action followed from it. */
  reconciled(actions: Readonly<Record<string, number>>): void;
  storeCommit(rows: number, durationMs: number): void;
  storeError(code: string): void;
  rpcCall(method: string, outcome: string, durationMs: number): void;
  httpRequest(route: string, status: number): void;
  refused(reason: string): void;
  streamOpened(route: string): void;
  streamClosed(route: string): void;
  containerSampled(jobId: string, sample: ContainerSample): void;
  /** The container runs no more: its series are dropped. */
  containerGone(jobId: string): void;
}

/** Where a job was accepted, or why not: `unknown` when the node that is to run it did not answer in time. */
export type PlacementOutcome =
  | 'here'
  | 'there'
  | 'everywhere'
  | 'deduplicated'
  | 'refused'
  | 'unreachable'
  | 'unknown'
  /** Another node had the same job all the same, and this one's was ended. */
  | 'duplicate';

export interface ContainerSample {
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** What is asked for when somebody looks at the metrics. Answers at once. */
export interface Watched {
  readonly queue: () => { readonly waiting: number; readonly working: number; readonly running: number };
  readonly jobsByState: () => Readonly<Record<string, number>>;
  /** Begins to sample the containers anew where the samples are old, and tells them by `containerSampled` in time. */
  readonly sampleContainers?: () => void;
}

const nothing = (): void => undefined;

/** Counts nothing. */
export const NO_TELEMETRY: Telemetry = {
  jobAccepted: nothing,
  jobRefused: nothing,
  jobPlaced: nothing,
  jobStateChanged: nothing,
  jobEnded: nothing,
  deployed: nothing,
  pullEnded: nothing,
  engineCall: nothing,
  engineUp: nothing,
  reconciled: nothing,
  storeCommit: nothing,
  storeError: nothing,
  rpcCall: nothing,
  httpRequest: nothing,
  refused: nothing,
  streamOpened: nothing,
  streamClosed: nothing,
  containerSampled: nothing,
  containerGone: nothing,
};

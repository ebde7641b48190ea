import type { RpcClient } from '../../../src/api/client.ts';
import type { JobEventView, JobView } from '../../../src/api/wire.ts';
import { messageOf } from '../../../src/kernel/errors.ts';
import { eventDetails } from '../event-columns.ts';
import { portsText, STATUS_STYLES } from '../job-columns.ts';
import { hasEnded } from '../job-statuses.ts';
import { LogPrinter } from '../log-printer.ts';
import { timeOfDay } from '../screen/format.ts';
import { LiveLine } from '../screen/live-line.ts';
import { printable } from '../screen/printable.ts';
import type { Terminal } from '../screen/terminal.ts';
import { eventsOfJob } from './job-events.ts';
import { JobOutput } from './job-output.ts';
import { PullBar } from './pull-bar.ts';

/** How long the last lines of an ended container may take to arrive. */
const MAX_OUTPUT_DELAY_MS = 10_000;

/** Shows a job as it goes: changes of its status on stderr, what its container writes on our own two outputs. */
export class JobFollower {
  readonly #client: RpcClient;
  readonly #jobId: string;
  readonly #terminal: Terminal;
  readonly #line: LiveLine;
  readonly #output: JobOutput;
  readonly #ended = new AbortController();
  #bar: PullBar | undefined;
  #reading: Promise<void> | undefined;

  constructor(client: RpcClient, jobId: string, terminal: Terminal) {
    this.#client = client;
    this.#jobId = jobId;
    this.#terminal = terminal;
    this.#line = new LiveLine(terminal.err);
    const printer = new LogPrinter(terminal);
    this.#output = new JobOutput(client, jobId, (entry) => printer.print(entry));
  }

  /** Resolves with the ended job, or with `undefined` when the signal is aborted before. */
  async follow(signal: AbortSignal): Promise<JobView | undefined> {
    const onBroken = (error: Error): void => void this.say(`${messageOf(error)}; trying again`);
    try {
      for await (const event of eventsOfJob(this.#client, this.#jobId, { signal, onBroken })) {
        await this.#bar?.[Symbol.asyncDispose]();
        if (hasEnded(event.type)) return await this.#end(event);
        await this.#show(event);
        if (event.type === 'pulling') this.#bar = new PullBar(this.#client, this.#jobId, this.#line);
        if (event.type === 'running') this.#reading ??= this.#read();
      }
      return undefined;
    } finally {
      await this.#bar?.[Symbol.asyncDispose]();
    }
  }

  /** A line of ours, beside what the container writes. */
  async say(text: string): Promise<void> {
    await this.#line.clear();
    await this.#terminal.err.write(`${printable(text)}\n`);
  }

  /** The job goes on whether or not its output can be read. */
  async #read(): Promise<void> {
    try {
      await this.#output.follow(this.#ended.signal);
    } catch (error) {
      await this.say(`the output cannot be read: ${messageOf(error)}`);
    }
  }

  async #end(event: JobEventView): Promise<JobView> {
    this.#ended.abort();
    const rest = this.#reading ?? this.#output.rest();
    await Promise.race([
      rest.catch((error: unknown) => this.say(messageOf(error))),
      later(MAX_OUTPUT_DELAY_MS),
    ]);
    await this.#show(event);
    return this.#client.call('JobService.Get', { job_id: this.#jobId });
  }

  async #show(event: JobEventView): Promise<void> {
    const { err } = this.#terminal;
    const status = err.paint(STATUS_STYLES[event.type], printable(event.type).padEnd(STATUS_COLUMNS));
    const details = printable(
      event.type === 'running' ? await this.#runningDetails(event) : eventDetails(event),
    );
    await this.#line.clear();
    await err.write(`${printable(timeOfDay(event.at))}  ${status}  ${details}`.trimEnd().concat('\n'));
  }

  /** Where it can be reached, which is not in the event; or what happened while it went on. */
  async #runningDetails(event: JobEventView): Promise<string> {
    const note = eventDetails(event);
    if (note !== '') return note;
    const job = await this.#client.call('JobService.Get', { job_id: this.#jobId }).catch(() => undefined);
    if (job === undefined) return '';
    return [job.address ?? '', portsText(job)].filter((part) => part !== '').join('  ');
  }
}

/** The longest status. */
const STATUS_COLUMNS = 'cancelled'.length;

function later(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs).unref();
  });
}

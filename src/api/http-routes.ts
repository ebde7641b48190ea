import type { z } from 'zod';
import { DOOR_PATH } from '../frontdoor/local-opener.ts';
import {
  doorQuery,
  eventsQuery,
  jobsQuery,
  logsQuery,
  noQuery,
  containersQuery,
  readQuery,
  readyQuery,
} from './query.ts';
import { readEventId, sendEvents, STREAM_ENDS } from './event-stream.ts';
import { controllerListView } from './controller-views.ts';
import type { Exchange } from './exchange.ts';
import { containerLines, controllerLines } from './lines.ts';
import type { ApiLimits } from './limits.ts';
import { NDJSON_TYPE, sendLog } from './log-stream.ts';
import { asksForText } from './media-type.ts';
import { existingId } from './methods/fields.ts';
import type { ApiDependencies } from './ports.ts';
import { sendJson, sendProblem, sendText, TEXT_TYPE } from './replies.ts';
import { readSince } from './since.ts';
import { jobView } from './views.ts';

/** What a route works with. */
export interface RouteContext {
  readonly exchange: Exchange;
  readonly deps: ApiDependencies;
  readonly limits: ApiLimits;
  /** The `{id}` of the path; empty where it has none. */
  readonly id: string;
  /** Begins a stream: its signal is aborted when the client goes or the node stops. */
  readonly stream: (work: (signal: AbortSignal) => Promise<void>, lastWords: string) => Promise<void>;
}

export interface HttpRoute {
  /** With at most one `{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly query: z.ZodObject;
  readonly handle: (context: RouteContext) => void | Promise<void>;
}

const health: HttpRoute = {
  path: '/health',
  summary: 'Whether the process works, with the state of its parts. 200 as long as anybody answers.',
  query: noQuery,
  handle: ({ exchange, deps }) => sendJson(exchange.response, 200, deps.health()),
};

const ready: HttpRoute = {
  path: '/ready',
  summary: 'Whether jobs can be deployed: 200, or 503 with the reasons. `verbose` shows every part.',
  query: readyQuery,
  handle: ({ exchange, deps }) => {
    const { verbose } = readQuery(readyQuery, exchange.query);
    const view = deps.health();
    const down = Object.entries(view.parts).filter(([, part]) => part.status === 'down');
    const problems = Object.fromEntries(down.map(([name, part]) => [name, part.message ?? 'down']));
    sendJson(exchange.response, view.ready ? 200 : 503, verbose ? view : { ready: view.ready, problems });
  },
};

const metrics: HttpRoute = {
  path: '/metrics',
  summary: 'Metrics in the text format of Prometheus.',
  query: noQuery,
  handle: async ({ exchange, deps }) => {
    const { contentType, text } = await deps.metrics.render();
    sendText(exchange.response, 200, contentType, text);
  },
};

const jobs: HttpRoute = {
  path: '/jobs',
  summary:
    'Jobs, the newest first. `status` takes one or several states, separated by commas; `all_nodes` adds the jobs of other ' +
    'nodes, and `owner` leaves those of one.',
  query: jobsQuery,
  handle: ({ exchange, deps }) => {
    const { limit, cursor, status, all_nodes: allNodes, owner } = readQuery(jobsQuery, exchange.query);
    const found = deps.jobs.list({
      limit,
      allNodes,
      ...(owner !== undefined && { owner }),
      ...(cursor !== undefined && { cursor }),
      ...(status !== undefined && { states: status }),
    });
    const next = found.nextCursor === undefined ? {} : { next_cursor: found.nextCursor };
    sendJson(exchange.response, 200, { jobs: found.jobs.map(jobView), ...next });
  },
};

/** States in which a job has a container that is up, or is about to be. */
const CONTAINER_STATES = ['starting', 'running', 'stopping'] as const;

const containers: HttpRoute = {
  path: '/containers',
  summary:
    'The containers that are up, the newest first, each with its job; with `Accept: text/plain` one line for each.',
  query: containersQuery,
  handle: ({ exchange, deps }) => {
    const { limit, cursor } = readQuery(containersQuery, exchange.query);
    const found = deps.jobs.list({
      limit,
      states: CONTAINER_STATES,
      ...(cursor !== undefined && { cursor }),
    });
    const shown = found.jobs.filter(({ job }) => job.instance !== undefined).map(jobView);
    if (asksForText(exchange.head))
      return sendText(
        exchange.response,
        200,
        TEXT_TYPE,
        containerLines(shown, deps.frontDoor?.sessions() ?? []),
      );
    const next = found.nextCursor === undefined ? {} : { next_cursor: found.nextCursor };
    sendJson(exchange.response, 200, { containers: shown, ...next });
  },
};

const controllers: HttpRoute = {
  path: '/controllers',
  summary:
    'The controllers that connections are led to, in the order of the database file; `problem` says why that does not count ' +
    'as it is. With `Accept: text/plain` one line for each.',
  query: noQuery,
  handle: ({ exchange, deps }) => {
    if (asksForText(exchange.head))
      return sendText(exchange.response, 200, TEXT_TYPE, controllerLines(deps.controllers.list()));
    sendJson(exchange.response, 200, controllerListView(deps.controllers));
  },
};

const HOW_TO_CONNECT =
  `${DOOR_PATH} takes WebSockets: connect to ws://HOST:PORT${DOOR_PATH}?controller=ID, or with path=LIBRARY&proc=PROCEDURE ` +
  'as clients of before do; GET /controllers lists the ids';

const door: HttpRoute = {
  path: DOOR_PATH,
  summary:
    'The front door: leads a WebSocket to the container of a controller. A request that is no WebSocket is answered with 426.',
  query: doorQuery,
  handle: ({ exchange }) => {
    const problem = { status: 426, title: 'Upgrade Required', reason: 'upgrade_required' };
    sendProblem(exchange.response, { ...problem, detail: HOW_TO_CONNECT }, [
      ...['Connection', 'Upgrade', 'Upgrade', 'websocket'],
    ]);
  },
};

const events: HttpRoute = {
  path: '/v1/events',
  summary:
    'Changes of jobs as server-sent events named `job`. `Last-Event-ID` (or `last_event_id`) resumes after that event; ' +
    'where those after it are kept no more, an event named `reset` comes first and new ones follow. `all_nodes` adds what is ' +
    'learnt of the jobs of other nodes meanwhile: those events have an `owner`, and nobody resumes after them.',
  query: eventsQuery,
  handle: ({ exchange, deps, limits, stream }) => {
    const { last_event_id, all_nodes: allNodes } = readQuery(eventsQuery, exchange.query);
    const lastId = exchange.head.lastEventId ?? last_event_id;
    const after = lastId === undefined || lastId === '' ? undefined : readEventId(lastId);
    const options = { limits, after, allNodes };
    return stream((signal) => sendEvents(exchange.response, { ...options, signal }, deps), STREAM_ENDS);
  },
};

const logs: HttpRoute = {
  path: '/v1/jobs/{id}/logs',
  summary:
    'The output of a container as it is written, or with `Accept: application/x-ndjson` one `{"stream","line"}` a line. ' +
    '`follow` goes on until it ends; `since` is an RFC 3339 time or a duration before now; `tail` begins so many lines ' +
    'from the end; `timestamps` puts the time before each line.',
  query: logsQuery,
  handle: async ({ exchange, deps, limits, id, stream }) => {
    const { follow, since, tail, timestamps } = readQuery(logsQuery, exchange.query);
    const jobId = existingId(id);
    await deps.jobs.get(jobId);
    const wanted = { follow, timestamps, ...readSince(since), ...(tail !== undefined && { tail }) };
    const format = exchange.head.accept?.toLowerCase().includes(NDJSON_TYPE) === true ? 'ndjson' : 'raw';
    return stream((signal) => {
      const chunks = deps.jobs.logs(jobId, { ...wanted, signal });
      return sendLog(exchange.response, chunks, { limits, format, signal }, deps);
    }, '');
  },
};

/** Everything that is answered besides JSON-RPC. */
export const HTTP_ROUTES: readonly HttpRoute[] = [
  health,
  ready,
  metrics,
  jobs,
  containers,
  controllers,
  door,
  events,
  logs,
];

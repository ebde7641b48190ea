import type { Verb } from './cli.ts';

const JOBS = 'Jobs:';
const CONTROLLERS = 'Controllers:';
const NODE = 'The node:';
const CLUSTER = 'The cluster:';

/** Every command. A new one is an entry here and a file beside the others. */
export const VERBS: readonly Verb[] = [
  {
    name: 'run',
    group: JOBS,
    summary: 'deploy a container and print the id of its job',
    load: async () => (await import('./verbs/run.ts')).defineRun,
  },
  {
    name: 'ps',
    group: JOBS,
    summary: 'list jobs',
    load: async () => (await import('./verbs/ps.ts')).definePs,
  },
  {
    name: 'status',
    group: JOBS,
    summary: 'show how a job stands and how it got there',
    load: async () => (await import('./verbs/status.ts')).defineStatus,
  },
  {
    name: 'inspect',
    group: JOBS,
    summary: 'show all there is to know of a job, with its spec',
    load: async () => (await import('./verbs/inspect.ts')).defineInspect,
  },
  {
    name: 'logs',
    group: JOBS,
    summary: "print what a job's container wrote",
    load: async () => (await import('./verbs/logs.ts')).defineLogs,
  },
  {
    name: 'wait',
    group: JOBS,
    summary: 'wait for a job to end, and end with its exit code',
    load: async () => (await import('./verbs/wait.ts')).defineWait,
  },
  {
    name: 'stop',
    group: JOBS,
    summary: 'stop running jobs',
    load: async () => (await import('./verbs/stop.ts')).defineStop,
  },
  {
    name: 'cancel',
    group: JOBS,
    summary: 'cancel jobs that do not run yet',
    load: async () => (await import('./verbs/cancel.ts')).defineCancel,
  },
  {
    name: 'rm',
    group: JOBS,
    summary: 'remove ended jobs and their containers',
    load: async () => (await import('./verbs/rm.ts')).defineRm,
  },
  {
    name: 'events',
    group: JOBS,
    summary: 'print what happened, or happens, to jobs',
    load: async () => (await import('./verbs/events.ts')).defineEvents,
  },
  {
    name: 'stats',
    group: JOBS,
    summary: 'show what the containers use, live',
    load: async () => (await import('./verbs/stats.ts')).defineStats,
  },
  {
    name: 'controllers',
    group: CONTROLLERS,
    summary: 'list, add, discover or validate what connections are led to',
    load: async () => (await import('./verbs/controllers.ts')).defineControllers,
  },
  {
    name: 'connections',
    group: CONTROLLERS,
    summary: 'list the clients that are connected, or end a connection',
    load: async () => (await import('./verbs/connections.ts')).defineConnections,
  },
  {
    name: 'peers',
    group: CLUSTER,
    summary: 'list the other nodes, or decide which may be one',
    load: async () => (await import('./verbs/peers.ts')).definePeers,
  },
  {
    name: 'cluster',
    group: CLUSTER,
    summary: 'print a token to join with, or replace the key',
    load: async () => (await import('./verbs/cluster.ts')).defineCluster,
  },
  {
    name: 'queue',
    group: NODE,
    summary: 'show, pause or resume the job queue',
    load: async () => (await import('./verbs/queue.ts')).defineQueue,
  },
  {
    name: 'node',
    group: NODE,
    summary: 'show, drain or undrain the node',
    load: async () => (await import('./verbs/node.ts')).defineNode,
  },
  {
    name: 'config',
    group: NODE,
    summary: 'print, check or explain the configuration',
    load: async () => (await import('./verbs/config.ts')).defineConfig,
  },
  {
    name: 'doctor',
    group: NODE,
    summary: 'see whether a node can work here, and what to mend',
    load: async () => (await import('./verbs/doctor.ts')).defineDoctor,
  },
  {
    name: 'completion',
    group: NODE,
    summary: 'print a script that completes commands in a shell',
    load: async () => (await import('./verbs/completion.ts')).defineCompletion,
  },
  {
    name: 'version',
    group: NODE,
    summary: 'print the versions of this program and of the node',
    load: async () => (await import('./verbs/version.ts')).defineVersion,
  },
];

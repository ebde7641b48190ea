import type { CatalogProblem } from '../catalog/database/catalog-file.ts';
import type { Controller } from '../catalog/controller.ts';
import type { DiscoveryReport } from '../catalog/discovery/report.ts';
import type { LiveTestReport } from '../catalog/live-test/live-test.ts';
import type { Resolution } from '../catalog/selection.ts';
import type { SessionView as Session } from '../frontdoor/sessions.ts';
import { hiddenEnv } from '../jobs/hidden.ts';
import type { Controllers } from './ports.ts';
import type {
  CatalogProblemView,
  ControllerListView,
  ControllerView,
  DiscoveryView,
  LiveTestView,
  ResolutionView,
  SessionView,
} from './wire.ts';

/** A controller as everybody who may read may see it. Values of `env` are nobody's business, names are. */
export function controllerView(controller: Controller): ControllerView {
  const { id, name, version, image, description, library_path, proc_name } = controller;
  const { sharing, warm, probe, allow_path } = controller;
  return {
    ...{ id, name, version, image, description, library_path, proc_name },
    ports: { ...controller.ports },
    ...(controller.env !== undefined && { env: hiddenEnv(controller.env) }),
    ...(controller.resources !== undefined && { resources: resourcesOf(controller.resources) }),
    ...{ sharing, warm, probe: { ...probe }, allow_path },
    ...limitsOf(controller),
    ...foundOf(controller),
  };
}

function resourcesOf({ cpu, memory, pids }: NonNullable<Controller['resources']>): {
  cpu?: number;
  memory?: number;
  pids?: number;
} {
  return {
    ...(cpu !== undefined && { cpu }),
    ...(memory !== undefined && { memory }),
    ...(pids !== undefined && { pids }),
  };
}

function limitsOf(controller: Controller): Partial<ControllerView> {
  const { max_connections, max_instances, start_timeout, idle_timeout } = controller;
  return {
    ...(max_connections !== undefined && { max_connections }),
    ...(max_instances !== undefined && { max_instances }),
    ...(start_timeout !== undefined && { start_timeout }),
    ...(idle_timeout !== undefined && { idle_timeout }),
  };
}

/** What the node has found out of it, and when. */
function foundOf(
  controller: Controller,
): Pick<ControllerView, 'is_valid' | 'source'> & Partial<ControllerView> {
  const { is_valid, validate_info, source, digest, validation, created_at, updated_at } = controller;
  return {
    is_valid,
    ...(validate_info !== undefined && { validate_info }),
    source,
    ...(digest !== undefined && { digest }),
    ...(validation?.format !== undefined && { format: validation.format }),
    ...(validation !== undefined && { validated_at: validation.at }),
    ...(created_at !== undefined && { created_at }),
    ...(updated_at !== undefined && { updated_at }),
  };
}

/** All of them, and what is wrong with the file they stand in. */
export function controllerListView(controllers: Controllers): ControllerListView {
  const { problem, warnings } = controllers;
  return {
    controllers: controllers.list().map(controllerView),
    ...(problem !== undefined && { problem: problemView(problem) }),
    ...(warnings.length > 0 && { warnings: [...warnings] }),
  };
}

function problemView({ message, line, column }: CatalogProblem): CatalogProblemView {
  return { message, ...(line !== undefined && { line }), ...(column !== undefined && { column }) };
}

export function discoveryView(report: DiscoveryReport): DiscoveryView {
  const { atMs, added, updated, unchanged, removed, skipped } = report;
  return {
    at: new Date(atMs).toISOString(),
    added: [...added],
    updated: [...updated],
    unchanged: [...unchanged],
    removed: [...removed],
    skipped: skipped.map(({ image, reason }) => ({ image, reason })),
  };
}

export function liveTestView({ id, version, image }: Controller, report: LiveTestReport): LiveTestView {
  const { passed, info, imageId, startMs, answerMs, answer } = report;
  return {
    ...{ id, version, image, digest: imageId, passed, info },
    ...(startMs !== undefined && { start_ms: Math.round(startMs) }),
    ...(answerMs !== undefined && { answer_ms: Math.round(answerMs) }),
    ...answer,
  };
}

export function resolutionView({
  controller,
  libraryPath,
  procName,
  isPathIgnored,
}: Resolution): ResolutionView {
  const { id, version, image } = controller;
  return {
    resolved: true,
    ...{ id, version, image },
    library_path: libraryPath,
    proc_name: procName,
    ...(isPathIgnored && { path_ignored: true as const }),
  };
}

export function sessionView(session: Session): SessionView {
  const { id, client, controller, job, openedAtMs, receivedBytes, sentBytes } = session;
  return {
    session_id: id,
    client,
    ...(controller !== undefined && { controller }),
    job_id: job,
    opened_at: new Date(openedAtMs).toISOString(),
    received_bytes: receivedBytes,
    sent_bytes: sentBytes,
  };
}

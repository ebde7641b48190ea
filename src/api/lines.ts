import type { Controller } from '../catalog/controller.ts';
import type { SessionView } from '../frontdoor/sessions.ts';
import type { JobView } from './wire.ts';

/** Lists as lines of text, in the very words that scripts of the manager before this one look for. */

/** Characters of a container's id, as engines shorten it. */
const SHORT_ID_LENGTH = 12;

export function controllerLines(controllers: readonly Controller[]): string {
  return controllers
    .map(({ name, id, version, image }) => {
      const shown = name === '' ? id : name;
      return `Controller: ${shown} (Version: ${version}, Image: ${image})\n`;
    })
    .join('');
}

/** Clients are those that are connected just now; several may share a container. */
export function containerLines(containers: readonly JobView[], sessions: readonly SessionView[]): string {
  const byJob = Map.groupBy(sessions, ({ job }) => job as string);
  return containers
    .map(({ job_id, container_name: name, container_id: id = '' }) => {
      const clients = (byJob.get(job_id) ?? []).map(({ client }) => client);
      const shown = clients.length === 0 ? 'none' : clients.join(', ');
      return `Container: ${name} (ID: ${id.slice(0, SHORT_ID_LENGTH)}, Client: ${shown})\n`;
    })
    .join('');
}

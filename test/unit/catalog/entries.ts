import { type Controller, type ControllerRecord, controllerSchema } from '../../../src/catalog/controller.ts';

/** An entry as the file might hold it. */
export function entry(id: string, version: string, changes: Partial<ControllerRecord> = {}): Controller {
  return controllerSchema.parse({
    id,
    version,
    name: `${id} controller`,
    image: `${id}:${version === '' ? 'latest' : version}`,
    library_path: `/controller/${id}.so`,
    proc_name: 'DISCON',
    created_at: '2025-01-31T12:00:00Z',
    updated_at: '2025-01-31T12:00:00Z',
    ...changes,
  });
}

import type { ImageSummary } from '../../runtime/driver.ts';
import { type ControllerDraft, controllerDraftSchema, DEFAULT_PORTS, idProblem } from '../controller.ts';
import { fieldProblem, fieldText } from '../issue.ts';
import type { SkippedImage } from './report.ts';

/** Images that carry this are controllers. */
export const CONTROLLER_IMAGE = { 'org.discon.type': 'controller' } as const;
const PREFIX = 'org.discon.controller.';
const MAX_PORTS_LENGTH = 256;

/** A controller that an image describes. */
export interface DiscoveredController {
  readonly draft: ControllerDraft;
  /** Of its repository where it came from one, else the image's own id. */
  readonly digest: string;
  /** When it was made, as its labels say; often nothing that can be read. */
  readonly createdAt: string | undefined;
  readonly image: ImageSummary;
}

export type ReadImage =
  | { readonly kind: 'controller'; readonly controller: DiscoveredController }
  | { readonly kind: 'skipped'; readonly skipped: SkippedImage };

/** What the labels of an image say. Pure; an image that says it badly is skipped, with the reason. */
export function readImage(image: ImageSummary): ReadImage {
  const [tag] = image.tags.toSorted();
  const skip = (reason: string): ReadImage => ({
    kind: 'skipped',
    skipped: { image: tag ?? image.id, reason },
  });
  if (tag === undefined) return skip('it has no tag');
  const label = (name: string): string | undefined => image.labels[`${PREFIX}${name}`] || undefined;
  for (const name of ['name', 'version'] as const) {
    if (label(name) === undefined) return skip(`label ${PREFIX}${name} is missing`);
  }
  const id = label('id') ?? tag.replaceAll(/[/:]/g, '-');
  const problem = idProblem(id);
  if (problem !== undefined) return skip(id.includes('.') ? problem : `label ${PREFIX}id: ${problem}`);
  const ports = readPorts(label('ports'));
  if (ports === undefined) {
    return skip(`label ${PREFIX}ports must be JSON such as ${JSON.stringify(DEFAULT_PORTS)}`);
  }
  const draft = {
    id,
    name: label('name'),
    version: label('version'),
    image: tag,
    description: label('description') ?? '',
    library_path: label('library_path') ?? '',
    proc_name: label('proc_name') ?? '',
    ports,
  };
  const read = controllerDraftSchema.safeParse(draft);
  if (!read.success) return skip(`label ${PREFIX}${fieldText(fieldProblem(read.error, []))}`);
  const controller: DiscoveredController = {
    draft: draft as ControllerDraft,
    digest: digestOf(image, tag),
    createdAt: readTime(label('created')),
    image,
  };
  return { kind: 'controller', controller };
}

/** The digest that the tag's own repository gave the image; others would be looked for elsewhere. */
function digestOf(image: ImageSummary, tag: string): string {
  const repository = tag.slice(0, tag.lastIndexOf(':'));
  return image.digests.find((digest) => digest.startsWith(`${repository}@`)) ?? image.id;
}

function readPorts(text: string | undefined): ControllerDraft['ports'] | undefined {
  if (text === undefined) return { ...DEFAULT_PORTS };
  if (text.length > MAX_PORTS_LENGTH) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const read = controllerDraftSchema.shape.ports.safeParse(value);
  return read.success ? read.data : undefined;
}

function readTime(text: string | undefined): string | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

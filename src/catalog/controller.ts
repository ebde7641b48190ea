import { z } from 'zod';
import { messageOf } from '../kernel/errors.ts';
import { cpu, duration, envName, memory, pids, portNumber, record, text } from '../kernel/field-types.ts';
import { parseImageReference } from '../runtime/image-reference.ts';

/** Bounds of an entry's fields, in characters and counts. */
export const CONTROLLER_LIMITS = {
  idLength: 128,
  nameLength: 256,
  versionLength: 128,
  imageLength: 512,
  descriptionLength: 4096,
  pathLength: 4096,
  procLength: 256,
  infoLength: 4096,
  digestLength: 512,
  timeLength: 64,
  envCount: 128,
  envValueLength: 8192,
  maxConnections: 100_000,
  maxInstances: 10_000,
  maxWarm: 100,
} as const;

/** What an image listens on, where nobody says otherwise. External 0: a free port, where one is published at all. */
export const DEFAULT_PORTS = { internal: 8080, external: 0 } as const;

/** What images of controllers have always been told. */
export const IMAGE_ENV = { DEBUG_LEVEL: '1' } as const;

/** One line of text. */
const line = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => !hasControls(value), { error: 'must not contain control characters' });

const time = line(CONTROLLER_LIMITS.timeLength).refine((value) => !Number.isNaN(Date.parse(value)), {
  error: 'must be a time such as 2025-01-31T12:00:00Z',
});

const ports = z.strictObject({
  internal: portNumber.default(DEFAULT_PORTS.internal),
  external: z.int().min(0).max(65_535).default(DEFAULT_PORTS.external),
});

/** How readiness is found. One kind so far; each further one is a field beside `tcp`. */
const probe = z.strictObject({ tcp: portNumber });

const resources = z.strictObject({
  cpu: cpu.optional(),
  memory: memory.optional(),
  pids: pids.optional(),
});

const image = line(CONTROLLER_LIMITS.imageLength).superRefine((reference, context) => {
  try {
    parseImageReference(reference);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

/** What a person or an image says of a controller. */
const described = {
  id: line(CONTROLLER_LIMITS.idLength).min(1).describe('the name that clients ask for'),
  name: line(CONTROLLER_LIMITS.nameLength).default('').describe('a name for people'),
  version: line(CONTROLLER_LIMITS.versionLength)
    .default('')
    .describe('such as 2.9.4; an id may have several versions'),
  image: image.describe('reference of the image'),
  description: text(CONTROLLER_LIMITS.descriptionLength).default(''),
  library_path: line(CONTROLLER_LIMITS.pathLength)
    .default('')
    .describe('the shared library inside the image'),
  proc_name: line(CONTROLLER_LIMITS.procLength).default('').describe('the procedure that is called in it'),
  ports: ports.prefault({}).describe('what the container listens on, and the host port'),
};

/** What only a person says, all of it optional: discovery leaves it as it is. */
const settled = {
  env: record(envName, CONTROLLER_LIMITS.envValueLength, CONTROLLER_LIMITS.envCount)
    .optional()
    .describe('environment of the container'),
  resources: resources
    .optional()
    .describe("cpu in cores, memory as 512m or bytes, pids as a count; the node's defaults otherwise"),
  sharing: z
    .enum(['exclusive', 'shared'])
    .default('exclusive')
    .describe('exclusive: an instance for each connection; shared: one for many'),
  max_connections: z
    .int()
    .min(1)
    .max(CONTROLLER_LIMITS.maxConnections)
    .optional()
    .describe('connections that one shared instance takes'),
  max_instances: z.int().min(1).max(CONTROLLER_LIMITS.maxInstances).optional().describe('instances at once'),
  start_timeout: duration.optional().describe('how long an instance may take until it is ready'),
  idle_timeout: duration.optional().describe('how long an unused instance stays up'),
  warm: z.int().min(0).max(CONTROLLER_LIMITS.maxWarm).default(0).describe('instances kept ready unasked'),
  probe: probe.optional().describe('how readiness is found: a TCP port, by default ports.internal'),
  allow_path: z
    .boolean()
    .default(false)
    .describe("whether a client's path that names no controller replaces library_path"),
};

/** What a validation found, and of what exactly: any of these changed, it is done anew. */
const validation = z.strictObject({
  digest: line(CONTROLLER_LIMITS.digestLength),
  at: time,
  library_path: line(CONTROLLER_LIMITS.pathLength),
  proc_name: line(CONTROLLER_LIMITS.procLength),
  verify_symbols: z.boolean(),
  /** Where it was also started: a digest of what that depended on. */
  live_test: line(64).optional(),
  is_valid: z.boolean(),
  info: text(CONTROLLER_LIMITS.infoLength),
  /** What the library is, such as `ELF 64-bit amd64`. */
  format: line(128).optional(),
});
export type ValidationReport = z.output<typeof validation>;

/** What the node itself writes into an entry. */
const kept = {
  created_at: time.optional(),
  updated_at: time.optional(),
  /** Of an entry made by hand nobody has found anything wrong yet. */
  is_valid: z.boolean().default(true),
  validate_info: text(CONTROLLER_LIMITS.infoLength).optional(),
  /** Absent: made by hand. */
  source: z.enum(['manual', 'discovered']).default('manual'),
  /** The image it is pinned to: a digest of its repository, or the id of a local image. */
  digest: line(CONTROLLER_LIMITS.digestLength).optional(),
  validation: validation.optional(),
};

/** The names of an entry's fields by the field that holds them; of the entry itself under no name. */
export const ENTRY_FIELDS: Readonly<Record<string, readonly string[]>> = {
  '': [...Object.keys(described), ...Object.keys(settled), ...Object.keys(kept)],
  ports: Object.keys(ports.shape),
  resources: Object.keys(resources.shape),
  probe: Object.keys(probe.shape),
  validation: Object.keys(validation.shape),
};

/** An entry as it stands in the database file. */
export const controllerSchema = z
  .strictObject({ ...described, ...settled, ...kept })
  .transform((entry) => ({ ...entry, probe: entry.probe ?? { tcp: entry.ports.internal } }));

/** An entry as it is written: what is left out stays left out, and units stay as somebody wrote them. */
export type ControllerRecord = z.input<typeof controllerSchema>;

type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;

/** An entry as it is used: everything filled in, durations in ms, memory in bytes. Frozen, and shared by all who ask. */
export type Controller = Frozen<z.output<typeof controllerSchema>>;

const NEW_ID = /^[A-Za-z0-9_-]+$/;

const newId = described.id.superRefine((id, context) => {
  const problem = idProblem(id);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** What may be registered. Stricter than the file, in which ids of before are taken as they are. */
export const controllerDraftSchema = z.strictObject({
  ...described,
  id: newId,
  version: line(CONTROLLER_LIMITS.versionLength)
    .min(1)
    .describe(described.version.description ?? ''),
  ...settled,
});
export type ControllerDraft = z.input<typeof controllerDraftSchema>;

/** Fields that an image may speak of. */
export const DESCRIBED_FIELDS: readonly string[] = Object.keys(described);
/** Fields of an entry that a person may change. `null` takes an optional one away. */
export const CHANGEABLE_FIELDS: readonly string[] = [
  ...DESCRIBED_FIELDS.filter((field) => field !== 'id'),
  ...Object.keys(settled),
];
type Changes = Partial<Omit<ControllerDraft, 'id'>>;
export type ControllerChanges = { readonly [Field in keyof Changes]: Changes[Field] | null };

/** What is wrong with the id of a new entry; `undefined` when nothing is. */
export function idProblem(id: string): string | undefined {
  if (id.includes('.')) {
    return `controller ID "${id.slice(0, CONTROLLER_LIMITS.idLength)}" contains periods (.), which are not allowed; use hyphens (-) or underscores (_) instead`;
  }
  return NEW_ID.test(id) ? undefined : 'must be letters, digits, hyphens (-) and underscores (_)';
}

export function hasControls(value: string): boolean {
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value);
}

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { TEST_LABEL } from '../docker.ts';
import { follow } from '../engine-progress.ts';
import { buildDisconPrograms, type DisconPrograms } from './programs.ts';

const run = promisify(execFile);

/** Where the controllers are in the image; the server works there too. */
const WORKING_DIR = '/controller';
const SERVER = '/usr/local/bin/discon-server';
const SERVER_PORT = 8080;
/** On every image made here, so that leftovers can be found whatever died. */
const IMAGE_LABEL_VALUE = 'discon';
const LABEL_PREFIX = 'org.discon.controller.';

/** Paths of the libraries in the image, for `path=` and for the label. */
export const LIBRARY_PATHS = {
  /** Exports `DISCON` and `CONTROL`. */
  controller: `${WORKING_DIR}/libdiscon.so`,
  /** Exports `CONTROL` alone. */
  withoutSymbol: `${WORKING_DIR}/libnosymbol.so`,
  /** Ends the process that loads it. */
  crashesAtLoad: `${WORKING_DIR}/libcrash.so`,
  /** Bytes that no loader takes. */
  notALibrary: `${WORKING_DIR}/not-a-library.so`,
} as const;

const LABEL_NAMES = [
  'id',
  'name',
  'version',
  'description',
  'library_path',
  'proc_name',
  'created',
  'ports',
] as const;

/** What the labels say of a controller, as texts, be they right or wrong. `null` leaves one away. */
export type ControllerLabels = Readonly<Partial<Record<(typeof LABEL_NAMES)[number], string | null>>>;

/** Those that are there without being asked for. */
const DEFAULT_LABELS: ControllerLabels = {
  name: 'Test controller',
  version: '1.0.0',
  library_path: LIBRARY_PATHS.controller,
  proc_name: 'DISCON',
  ports: JSON.stringify({ internal: SERVER_PORT, external: 0 }),
};

export interface ControllerImageOptions extends ControllerLabels {
  /** `null` for an image that does not say that it is a controller. */
  readonly type?: string | null;
  /** Name and tag; by default nobody else's. */
  readonly reference?: string;
  /** Switches of the server, as `START_DELAY_MS`, and `CONTROLLER_NAME`, which comes back in `outName`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The flags of the server, by default those that the images in use have. */
  readonly command?: readonly string[];
  /** Labels besides those of a controller. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** An image of the server on the engine. Dispose to take it away, with no regard to who uses it. */
export interface ControllerImage extends AsyncDisposable {
  readonly reference: string;
  /** As the engine calls it: `sha256:...`. */
  readonly id: string;
}

/** Makes an image: no registry is needed, and nothing is in it but the server, its libraries and what loads them. */
export async function importControllerImage(
  docker: Docker,
  options: ControllerImageOptions = {},
): Promise<ControllerImage> {
  const reference = options.reference ?? `cm-test-discon:${randomUUID().slice(0, 13)}`;
  const directory = await mkdtemp(join(tmpdir(), 'cm-discon-image-'));
  try {
    const archive = await writeArchive(directory, await buildDisconPrograms());
    const colon = reference.lastIndexOf(':');
    const target = { repo: reference.slice(0, colon), tag: reference.slice(colon + 1) };
    const stream = await docker.importImage(archive, { ...target, changes: changesOf(options) });
    await follow(docker, stream);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const image = docker.getImage(reference);
  const { Id: id } = await image.inspect();
  const remove = async (): Promise<void> => {
    await image.remove({ force: true }).catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) throw error;
    });
  };
  return { reference, id, [Symbol.asyncDispose]: remove };
}

async function writeArchive(directory: string, programs: DisconPrograms): Promise<string> {
  const root = join(directory, 'root');
  const put = async (file: string, path: string): Promise<void> => {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await copyFile(file, join(root, path));
  };
  await put(programs.server, SERVER);
  for (const file of [
    programs.controller,
    programs.withoutSymbol,
    programs.crashesAtLoad,
    programs.notALibrary,
  ]) {
    await put(file, join(WORKING_DIR, basename(file)));
  }
  for (const library of await librariesOf(programs.server, programs.controller)) await put(library, library);
  const archive = join(directory, 'root.tar');
  await run('tar', ['-C', root, '--owner=0', '--group=0', '-cf', archive, '.']);
  return archive;
}

/** What a program needs of this machine to be loaded, the loader among it. */
async function librariesOf(...files: readonly string[]): Promise<Set<string>> {
  const outputs = await Promise.all(files.map((file) => run('ldd', [file])));
  const lines = outputs.flatMap(({ stdout }) => stdout.split('\n'));
  return new Set(lines.flatMap((line) => /\/\S+/.exec(line) ?? []));
}

function changesOf(options: ControllerImageOptions): string[] {
  const command = options.command ?? [`--port=${SERVER_PORT}`, '--debug=1'];
  const env = Object.entries(options.env ?? {});
  return [
    `WORKDIR ${WORKING_DIR}`,
    `EXPOSE ${SERVER_PORT}`,
    `ENTRYPOINT ${JSON.stringify([SERVER])}`,
    `CMD ${JSON.stringify(command)}`,
    ...env.map(([name, value]) => `ENV ${name}=${quoted(value)}`),
    ...Object.entries(labelsOf(options)).map(([name, value]) => `LABEL ${name}=${quoted(value)}`),
  ];
}

function labelsOf(options: ControllerImageOptions): Record<string, string> {
  const { type = 'controller' } = options;
  const controller = LABEL_NAMES.flatMap((name) => {
    const value = options[name] === undefined ? DEFAULT_LABELS[name] : options[name];
    return typeof value === 'string' ? [[`${LABEL_PREFIX}${name}`, value] as const] : [];
  });
  return {
    [TEST_LABEL]: IMAGE_LABEL_VALUE,
    ...options.labels,
    ...(type === null ? {} : { 'org.discon.type': type }),
    ...Object.fromEntries(controller),
  };
}

/** As the engine reads a value of an instruction: in double quotes, where these, backslashes and dollars count. */
function quoted(value: string): string {
  return `"${value.replace(/["\\$]/g, '\\$&')}"`;
}

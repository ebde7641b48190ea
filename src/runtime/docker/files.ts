import type { InstanceFile } from '../driver.ts';
import { RuntimeError } from '../errors.ts';
import { isMissing, readArchive, type ArchivedFile } from './archive.ts';
import type { CallOptions, EngineCalls } from './call.ts';
import { getArchive } from './untyped-calls.ts';

/** Links from one to the next that are followed; as many as Linux does. */
const MAX_LINKS = 40;
const MAX_PATH_BYTES = 4096;

/** The file under `path`, its links followed within the container. `id` as it stands in an address. */
export async function readInstanceFile(
  calls: EngineCalls,
  call: CallOptions,
  { id, path, maxBytes }: { readonly id: string; readonly path: string; readonly maxBytes: number },
): Promise<InstanceFile> {
  let wanted = path;
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    // No file has such a name, and the engine's own calls would end it at a NUL.
    if (wanted === '' || wanted.includes('\0') || Buffer.byteLength(wanted) > MAX_PATH_BYTES) break;
    const found = await readOnce(calls, call, id, wanted, maxBytes);
    if (found.kind !== 'link') return found;
    wanted = found.target;
  }
  return { kind: 'missing' };
}

async function readOnce(
  calls: EngineCalls,
  call: CallOptions,
  id: string,
  path: string,
  maxBytes: number,
): Promise<ArchivedFile> {
  try {
    return await calls.run(call, async (docker, abortSignal) =>
      readArchive(await getArchive(docker, id, path, abortSignal), path, maxBytes),
    );
  } catch (error) {
    if (error instanceof RuntimeError && isMissing(error.cause)) return { kind: 'missing' };
    throw error;
  }
}

import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { follow } from './engine-progress.ts';
import type { FileTree } from './fake-files.ts';

export interface FileImage {
  readonly labels?: Readonly<Record<string, string>>;
  readonly files?: FileTree;
}

/** An image that holds these files and nothing else: no shell, no program. */
export async function importFileImage(
  docker: Docker,
  reference: string,
  { labels = {}, files = {} }: FileImage,
): Promise<void> {
  const archive = pack();
  // An image of no file at all is refused.
  archive.entry({ name: 'empty', type: 'directory' });
  for (const [path, content] of Object.entries(files)) {
    const name = path.slice(1);
    if (Buffer.isBuffer(content)) archive.entry({ name, type: 'file', mode: 0o644 }, content);
    else if (content === 'directory') archive.entry({ name, type: 'directory' });
    else archive.entry({ name, type: 'symlink', linkname: content.link });
  }
  archive.finalize();
  const colon = reference.lastIndexOf(':');
  const stream = await docker.importImage(archive as unknown as NodeJS.ReadableStream, {
    repo: reference.slice(0, colon),
    tag: reference.slice(colon + 1),
    changes: Object.entries(labels).map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}`),
  });
  await follow(docker, stream);
}

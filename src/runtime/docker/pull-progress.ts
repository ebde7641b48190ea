import { z } from 'zod';
import type { PullProgress } from '../driver.ts';
import { decode } from './decode.ts';

/** More layers than any image has; what comes beyond is not counted. */
const MAX_LAYERS = 1000;

const pullLine = z.object({
  status: z.string().optional(),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).nullish(),
  error: z.string().optional(),
  errorDetail: z.object({ message: z.string().optional() }).nullish(),
});
export type PullLine = z.infer<typeof pullLine>;

export function decodePullLine(line: unknown): PullLine {
  return decode(pullLine, line, 'pull');
}

interface Layer {
  downloadedBytes: number;
  totalBytes: number;
  isDone: boolean;
}

/** Sums up what the engine says of each layer. */
export class LayerProgress {
  readonly #layers = new Map<string, Layer>();

  get progress(): PullProgress {
    const layers = [...this.#layers.values()];
    return {
      layersDone: layers.filter((layer) => layer.isDone).length,
      layersTotal: layers.length,
      downloadedBytes: layers.reduce((sum, layer) => sum + layer.downloadedBytes, 0),
      totalBytes: layers.reduce((sum, layer) => sum + layer.totalBytes, 0),
    };
  }

  /** True when the line is about a layer, so that the sums may have changed. */
  update(line: PullLine): boolean {
    const { status = '', id } = line;
    // The first line has the tag in the layer's place.
    if (id === undefined || status.startsWith('Pulling from')) return false;
    const layer = this.#layers.get(id) ?? { downloadedBytes: 0, totalBytes: 0, isDone: false };
    if (!this.#layers.has(id) && this.#layers.size >= MAX_LAYERS) return false;
    this.#layers.set(id, layer);
    const { current, total } = line.progressDetail ?? {};
    if (status === 'Downloading') {
      layer.downloadedBytes = current ?? layer.downloadedBytes;
      layer.totalBytes = Math.max(total ?? 0, layer.totalBytes, layer.downloadedBytes);
    }
    // What arrived at once is never announced with its size.
    if (status === 'Extracting') layer.totalBytes = Math.max(layer.totalBytes, total ?? 0);
    if (status !== 'Downloading' && isDownloaded(status)) layer.downloadedBytes = layer.totalBytes;
    if (status === 'Pull complete' || status === 'Already exists') layer.isDone = true;
    return true;
  }
}

function isDownloaded(status: string): boolean {
  return ['Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete'].includes(status);
}

/** Lines that the engine also writes while nothing arrives. */
export function isStandingStill(line: PullLine): boolean {
  return line.status === 'Waiting' || (line.status?.startsWith('Retrying') ?? false);
}

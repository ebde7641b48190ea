import { writeFileSync } from 'node:fs';
import type { Row } from '../measure/row.ts';
import type { Surroundings } from './surroundings.ts';

export const RESULTS_FILE = 'bench-results.json';

export interface Results {
  readonly at: string;
  readonly isQuick: boolean;
  readonly seconds: number;
  readonly surroundings: Surroundings;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
}

export function writeResults(file: string, results: Results): void {
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
}

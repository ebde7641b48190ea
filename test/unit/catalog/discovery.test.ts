import { describe, expect, it } from 'vitest';
import type { ControllerRecord } from '../../../src/catalog/controller.ts';
import { decodeDocument, encodeDocument, MAX_CONTROLLERS } from '../../../src/catalog/database/document.ts';
import { readImage } from '../../../src/catalog/discovery/image-labels.ts';
import {
  type Merged,
  mergeImages,
  type MergeOptions,
  NOT_VALIDATED,
} from '../../../src/catalog/discovery/merge.ts';
import type { ImageSummary } from '../../../src/runtime/driver.ts';

const NOW_MS = Date.parse('2026-01-02T03:04:05Z');
const NOW = '2026-01-02T03:04:05.000Z';
const PREFIX = 'org.discon.controller.';

function image(labels: Readonly<Record<string, string>>, changes: Partial<ImageSummary> = {}): ImageSummary {
  return {
    id: 'sha256:one',
    tags: ['discon/rosco:2_9_4'],
    digests: [],
    labels: {
      'org.discon.type': 'controller',
      ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [`${PREFIX}${name}`, value])),
    },
    architecture: 'amd64',
    createdAtMs: 1000,
    ...changes,
  };
}

const WHOLE = {
  id: 'rosco',
  name: 'ROSCO',
  version: '2.9.4',
  description: 'a controller',
  library_path: '/controller/libdiscon.so',
  proc_name: 'DISCON',
  created: '2025-05-05T12:00:00Z',
  ports: '{"internal": 9000, "external": 0}',
};

function merge(
  records: readonly ControllerRecord[],
  images: readonly ImageSummary[],
  options: Partial<MergeOptions> = {},
): Merged {
  const merged = mergeImages(records, images, {
    removeMissing: false,
    isValidating: true,
    nowMs: NOW_MS,
    ...options,
  });
  // Whatever comes of it, the file can be read again.
  decodeDocument(encodeDocument(merged.records));
  return merged;
}

function skippedReason(
  labels: Readonly<Record<string, string>>,
  changes: Partial<ImageSummary> = {},
): string {
  const read = readImage(image(labels, changes));
  return read.kind === 'skipped' ? `${read.skipped.image}: ${read.skipped.reason}` : 'taken';
}

describe('the labels of an image', () => {
  it('make an entry, pinned to the image', () => {
    expect(merge([], [image(WHOLE)]).records).toEqual([
      {
        id: 'rosco',
        name: 'ROSCO',
        version: '2.9.4',
        image: 'discon/rosco:2_9_4',
        description: 'a controller',
        library_path: '/controller/libdiscon.so',
        proc_name: 'DISCON',
        ports: { internal: 9000, external: 0 },
        created_at: '2025-05-05T12:00:00.000Z',
        updated_at: NOW,
        is_valid: false,
        validate_info: NOT_VALIDATED,
        source: 'discovered',
        digest: 'sha256:one',
      },
    ]);
  });

  it('need be no more than a name and a version', () => {
    const { records } = merge([], [image({ name: 'N', version: '1' })], { isValidating: false });
    expect(records).toMatchObject([
      { id: 'discon-rosco-2_9_4', created_at: NOW, ports: { internal: 8080, external: 0 }, is_valid: true },
    ]);
  });

  it('line 14: an id that is missing is derived from the first tag', () => {
    const { records } = merge([], [image({ name: 'N', version: '1' }, { tags: ['z:1', 'repo/name:tag'] })]);
    expect(records[0]).toMatchObject({ id: 'repo-name-tag', image: 'repo/name:tag' });
  });

  it('pin to the digest of their own repository, where it has one', () => {
    const tags = ['host.example:5000/team/rosco:2_9_4'];
    const own = `host.example:5000/team/rosco@sha256:${'a'.repeat(64)}`;
    const digests = [`other/rosco@sha256:${'b'.repeat(64)}`, own];
    expect(merge([], [image(WHOLE, { tags, digests })]).records[0]?.digest).toBe(own);
  });

  const period =
    'controller ID "a.b" contains periods (.), which are not allowed; use hyphens (-) or underscores (_) instead';
  it.each<
    [what: string, labels: Readonly<Record<string, string>>, changes: Partial<ImageSummary>, reason: string]
  >([
    ['line 14: without a name', { version: '1' }, {}, `discon/rosco:2_9_4: label ${PREFIX}name is missing`],
    [
      'with an empty name',
      { name: '', version: '1' },
      {},
      `discon/rosco:2_9_4: label ${PREFIX}name is missing`,
    ],
    ['without a version', { name: 'N' }, {}, `discon/rosco:2_9_4: label ${PREFIX}version is missing`],
    ['without a tag', WHOLE, { tags: [] }, 'sha256:one: it has no tag'],
    ['line 14: with a period in its id', { ...WHOLE, id: 'a.b' }, {}, `discon/rosco:2_9_4: ${period}`],
    [
      'with a period in the tag that its id is derived from',
      { name: 'N', version: '1' },
      { tags: ['a.b'] },
      `a.b: ${period}`,
    ],
    [
      'with an id of other letters',
      { ...WHOLE, id: 'a b' },
      {},
      `discon/rosco:2_9_4: label ${PREFIX}id: must be letters, digits, hyphens (-) and underscores (_)`,
    ],
    [
      'with ports that are no JSON',
      { ...WHOLE, ports: '8080' },
      {},
      `discon/rosco:2_9_4: label ${PREFIX}ports must be JSON such as {"internal":8080,"external":0}`,
    ],
    [
      'with a port that is none',
      { ...WHOLE, ports: '{"internal": 99999}' },
      {},
      `discon/rosco:2_9_4: label ${PREFIX}ports must be JSON such as {"internal":8080,"external":0}`,
    ],
    [
      'with a path of control characters',
      { ...WHOLE, library_path: '/x\n/y' },
      {},
      `discon/rosco:2_9_4: label ${PREFIX}library_path: must not contain control characters`,
    ],
  ])('%s make none, and the reason is told', (_what, labels, changes, reason) => {
    expect(skippedReason(labels, changes)).toBe(reason);
    expect(merge([], [image(labels, changes)]).result).toMatchObject({ added: [], skipped: [{}] });
  });
});

describe('a look at the images', () => {
  const [found] = merge([], [image(WHOLE)]).records as readonly [ControllerRecord];
  const validated: ControllerRecord = {
    ...found,
    is_valid: true,
    validate_info: 'Controller is valid',
    idle_timeout: '5m',
    env: { A: 'b' },
    warm: 1,
  };
  const byHand: ControllerRecord = { id: 'mine', version: '1', image: 'mine:1' };

  it('leaves everything as it is when nothing is new', () => {
    const records = [byHand, validated];
    const merged = merge(records, [image(WHOLE)], { removeMissing: true });
    expect(merged.records).toBe(records);
    expect(merged.result).toEqual({
      atMs: NOW_MS,
      added: [],
      updated: [],
      unchanged: ['rosco@2.9.4'],
      removed: [],
      skipped: [],
    });
  });

  it('replaces what an image describes anew, and keeps when it was made and what a person set', () => {
    const { records, result: report } = merge(
      [validated],
      [image({ ...WHOLE, proc_name: 'OTHER' }, { id: 'sha256:two' })],
    );
    expect(report.updated).toEqual(['rosco@2.9.4']);
    expect(records).toEqual([
      {
        ...validated,
        proc_name: 'OTHER',
        digest: 'sha256:two',
        updated_at: NOW,
        is_valid: false,
        validate_info: NOT_VALIDATED,
      },
    ]);
  });

  it('keeps what was found of a library that is the same', () => {
    const { records } = merge([validated], [image({ ...WHOLE, description: 'better words' })]);
    expect(records).toEqual([{ ...validated, description: 'better words', updated_at: NOW }]);
  });

  it('serves what waits for a validation that is switched off', () => {
    const { records } = merge([found], [image(WHOLE)], { isValidating: false });
    expect(records[0]).toMatchObject({ is_valid: true });
    expect(records[0]).not.toHaveProperty('validate_info');
  });

  it('adds another version beside the one there is', () => {
    const other = image({ ...WHOLE, version: '2.10.0' }, { id: 'sha256:two', tags: ['discon/rosco:new'] });
    const { records, result: report } = merge([validated], [image(WHOLE), other]);
    expect(records.map(({ version }) => version)).toEqual(['2.9.4', '2.10.0']);
    expect(report).toMatchObject({ added: ['rosco@2.10.0'], unchanged: ['rosco@2.9.4'] });
  });

  it.each<ControllerRecord['source']>(['manual', undefined])(
    'never touches an entry whose source is %s',
    (source) => {
      const mine: ControllerRecord = {
        id: 'rosco',
        version: '2.9.4',
        image: 'other:1',
        ...(source && { source }),
      };
      const { records, result: report } = merge([mine], [image(WHOLE)], { removeMissing: true });
      expect(records).toEqual([mine]);
      expect(report.skipped).toEqual([
        { image: 'discon/rosco:2_9_4', reason: 'rosco@2.9.4 was made by hand, and stays as it is' },
      ]);
      expect(merge([mine], [], { removeMissing: true }).records).toEqual([mine]);
    },
  );

  it('removes what was discovered and is gone, only where that is wanted', () => {
    expect(merge([byHand, validated], []).records).toEqual([byHand, validated]);
    const { records, result: report } = merge([byHand, validated], [], { removeMissing: true });
    expect(records).toEqual([byHand]);
    expect(report.removed).toEqual(['rosco@2.9.4']);
  });

  it('does not take an image for gone whose labels it does not like any more', () => {
    const spoilt = image({ ...WHOLE, ports: 'x' });
    expect(merge([validated], [spoilt], { removeMissing: true }).result).toMatchObject({
      removed: [],
      skipped: [{}],
    });
    expect(merge([validated], [image(WHOLE, { tags: [] })], { removeMissing: true }).result.removed).toEqual([
      'rosco@2.9.4',
    ]);
  });

  it('takes the newest of several images that are the same version, whatever their order', () => {
    const old = image(WHOLE, { id: 'sha256:old', tags: ['old:1'], createdAtMs: 1 });
    const fresh = image(WHOLE, { id: 'sha256:new', tags: ['new:1'], createdAtMs: 2 });
    for (const images of [
      [old, fresh],
      [fresh, old],
    ]) {
      const { records, result: report } = merge([], images);
      expect(records.map(({ digest }) => digest)).toEqual(['sha256:new']);
      expect(report.skipped).toEqual([
        { image: 'old:1', reason: 'new:1, which is newer, is rosco@2.9.4 too' },
      ]);
    }
  });

  it('adds no more than there may be', () => {
    const full = Array.from({ length: MAX_CONTROLLERS }, (_, index) => ({ id: `c${index}`, image: 'c:1' }));
    const { records, result: report } = merge(full, [image(WHOLE)]);
    expect(records).toBe(full);
    expect(report.skipped).toEqual([
      { image: 'discon/rosco:2_9_4', reason: `there are ${MAX_CONTROLLERS} controllers already` },
    ]);
  });
});

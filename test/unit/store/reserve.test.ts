import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Reserve, RESERVE_BYTES } from '../../../src/store/reserve.ts';
import { tempDirectory } from './support/store-fixture.ts';

describe('the reserve', () => {
  it('holds real blocks, and gives them back once', () => {
    const file = join(tempDirectory(), 'reserve');
    const reserve = new Reserve(file);
    expect(reserve.isHeld).toBe(false);
    expect(reserve.take()).toBe(true);
    expect(statSync(file).blocks * 512).toBeGreaterThanOrEqual(RESERVE_BYTES);
    expect(reserve.release()).toBe(true);
    expect(existsSync(file)).toBe(false);
    expect(reserve.release()).toBe(false);
    expect(reserve.take()).toBe(true);
  });

  it('is taken over from the process before, unless that got only a part of it', () => {
    const file = join(tempDirectory(), 'reserve');
    new Reserve(file).take();
    const { mtimeMs } = statSync(file);
    expect(new Reserve(file).take()).toBe(true);
    expect(statSync(file).mtimeMs).toBe(mtimeMs);
    writeFileSync(file, 'part');
    expect(new Reserve(file).take()).toBe(true);
    expect(statSync(file).size).toBe(RESERVE_BYTES);
  });

  it('on a disk that is full is not held, and nobody else is told', () => {
    const file = join(tempDirectory(), 'reserve');
    symlinkSync('/dev/full', file);
    const reserve = new Reserve(file);
    expect(reserve.take()).toBe(false);
    expect(reserve.isHeld).toBe(false);
  });

  it('that cannot be had for another reason says which', () => {
    const file = join(tempDirectory(), 'reserve');
    mkdirSync(file);
    const reserve = new Reserve(file);
    expect(() => reserve.take()).toThrow(
      expect.objectContaining({ code: 'store_failed', message: expect.stringContaining(file) }),
    );
    expect(reserve.isHeld).toBe(false);
    expect(reserve.release()).toBe(false);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SecretBox } from '../../../src/kernel/secret-box.ts';

const box = new SecretBox(Buffer.alloc(32, 1));
const other = new SecretBox(Buffer.alloc(32, 2));
const text = fc.string({ unit: 'binary' });

describe('a secret box', () => {
  it('opens what it sealed, in the same context, after a restart too', () => {
    const again = new SecretBox(Buffer.alloc(32, 1));
    fc.assert(
      fc.property(text, text, (secret, context) => {
        expect(again.open(box.seal(secret, context), context)).toBe(secret);
      }),
    );
  });

  it('opens nothing with another key or in another context', () => {
    const sealed = box.seal('secret', 'job-1');
    expect(() => other.open(sealed, 'job-1')).toThrow();
    expect(() => box.open(sealed, 'job-2')).toThrow();
  });

  it('opens nothing that was changed or cut, wherever', () => {
    const bytes = Buffer.from(box.seal('secret', ''), 'base64');
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(() => box.open(changed.toString('base64'), ''), `byte ${index}`).toThrow();
      expect(() => box.open(bytes.toString('base64', 0, index), ''), `cut at ${index}`).toThrow();
    }
  });

  it('never seals the same twice alike, and shows nothing of it', () => {
    const sealed = box.seal('secret', '');
    expect(box.seal('secret', '')).not.toBe(sealed);
    expect(Buffer.from(sealed, 'base64').includes('secret')).toBe(false);
  });

  it('gives equal texts equal fingerprints, which depend on the key', () => {
    expect(box.fingerprint('text')).toMatch(/^[0-9a-f]{32}$/);
    expect(box.fingerprint('text')).toBe(box.fingerprint('text'));
    expect(box.fingerprint('text2')).not.toBe(box.fingerprint('text'));
    expect(other.fingerprint('text')).not.toBe(box.fingerprint('text'));
  });
});

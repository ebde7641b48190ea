import { describe, expect, it } from 'vitest';
import { RuntimeError } from '../../../src/runtime/errors.ts';
import { isAllowedRegistry, parseImageReference } from '../../../src/runtime/image-reference.ts';
import { leastMs } from '../../support/least-time.ts';

const HEX = 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff';
const SHA = `sha256:${HEX}`;
const LONG = 'a/'.repeat(128);

describe('parseImageReference', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27', 'nginx:1.27'],
    ['library/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['docker.io/library/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['index.docker.io/nginx:2', 'docker.io/library/nginx:2', 'nginx:2'],
    ['library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['team/app', 'docker.io/team/app:latest', 'team/app:latest'],
    ['docker.io/localhost/x', 'docker.io/localhost/x:latest', 'docker.io/localhost/x:latest'],
    ['docker.io/a.b/x', 'docker.io/a.b/x:latest', 'docker.io/a.b/x:latest'],
    ['test.com/repo:tag', 'test.com/repo:tag', 'test.com/repo:tag'],
    ['test:5000/repo', 'test:5000/repo:latest', 'test:5000/repo:latest'],
    ['test:5000/repo:tag', 'test:5000/repo:tag', 'test:5000/repo:tag'],
    [`test:5000/repo@${SHA}`, `test:5000/repo@${SHA}`, `test:5000/repo@${SHA}`],
    [`test:5000/repo:tag@${SHA}`, `test:5000/repo:tag@${SHA}`, `test:5000/repo:tag@${SHA}`],
    [`app@sha512:${HEX}${HEX}`, `docker.io/library/app@sha512:${HEX}${HEX}`, `app@sha512:${HEX}${HEX}`],
    [
      'sub-dom1.foo.com/bar/baz/quux',
      'sub-dom1.foo.com/bar/baz/quux:latest',
      'sub-dom1.foo.com/bar/baz/quux:latest',
    ],
    [
      'b.gcr.io/test.example.com/my-app:test.example.com',
      'b.gcr.io/test.example.com/my-app:test.example.com',
      'b.gcr.io/test.example.com/my-app:test.example.com',
    ],
    ['xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com/myimage:xn--n3h.com', 'xn--n3h.com/myimage:xn--n3h.com'],
    ['foo_bar.com:8080', 'docker.io/library/foo_bar.com:8080', 'foo_bar.com:8080'],
    ['foo/foo_bar.com:8080', 'docker.io/foo/foo_bar.com:8080', 'foo/foo_bar.com:8080'],
    ['FOO.com/bar', 'FOO.com/bar:latest', 'FOO.com/bar:latest'],
    ['Uppercase/lowercase', 'Uppercase/lowercase:latest', 'Uppercase/lowercase:latest'],
    ['[::1]:5000/x', '[::1]:5000/x:latest', '[::1]:5000/x:latest'],
    ['[2001:db8::1]/x:y', '[2001:db8::1]/x:y', '[2001:db8::1]/x:y'],
    ['192.168.1.1/x', '192.168.1.1/x:latest', '192.168.1.1/x:latest'],
    ['localhost/x', 'localhost/x:latest', 'localhost/x:latest'],
    ['a__b/c--d/e.f', 'docker.io/a__b/c--d/e.f:latest', 'a__b/c--d/e.f:latest'],
    [`x:${'t'.repeat(128)}`, `docker.io/library/x:${'t'.repeat(128)}`, `x:${'t'.repeat(128)}`],
    [
      `h.co/${LONG.slice(0, 249)}a`,
      `h.co/${LONG.slice(0, 249)}a:latest`,
      `h.co/${LONG.slice(0, 249)}a:latest`,
    ],
  ])('reads %s', (text, canonical, familiar) => {
    const reference = parseImageReference(text);
    expect(reference).toMatchObject({ canonical, familiar });
    // Both forms lead to the same image again.
    expect(parseImageReference(canonical).canonical).toBe(canonical);
    expect(parseImageReference(familiar).canonical).toBe(canonical);
  });

  it.each([
    ['', 'empty'],
    [':justtag', 'name'],
    [`@${SHA}`, 'name'],
    ['repo@sha256:ffff', '64 lower-case hex'],
    [`repo@SHA256:${HEX}`, 'sha256'],
    [`repo@sha256:${HEX.toUpperCase()}`, 'hex'],
    [`validname@invaliddigest:${HEX}`, 'sha256'],
    ['Uppercase:tag', 'upper-case'],
    ['test:5000/Uppercase/lowercase:tag', 'upper-case'],
    ['lowercase:Upper case', 'tag'],
    [`${LONG}a:tag`, 'longer than 255'],
    [HEX, 'image id'],
    ['aa/asdf$$^/aa', 'name'],
    ['a//b', 'name'],
    ['/a', 'name'],
    ['a/', 'name'],
    ['-foo/bar', 'name'],
    ['foo-/bar', 'name'],
    ['-foo.com/bar', 'host name'],
    ['foo.com-/bar', 'host name'],
    ['foo..com/bar', 'host name'],
    ['a___b', 'name'],
    ['a..b', 'name'],
    ['foo.com:99999/x', 'port'],
    ['foo.com:http/x', 'port'],
    ['foo.com:/x', 'port'],
    ['[::1/x', 'host name'],
    ['[fe80::1%eth0]/x', 'host name'],
    ['http://foo.com/x', 'registry port'],
    ['foo.com/../x', 'name'],
    ['foo.com/x?y', 'name'],
    ['foo.com/x\0', 'name'],
    ['user@host/x', 'sha256'],
    ['a b', 'name'],
    ['x:', 'tag'],
    ['x:.tag', 'tag'],
    ['x:-tag', 'tag'],
    [`x:${'t'.repeat(129)}`, 'longer than 128'],
    ['nginx\n', 'name'],
    ['ng\u0131nx', 'name'],
    ['x'.repeat(513), 'longer than 512'],
  ])('refuses %j, saying %s', (text, problem) => {
    let thrown: unknown;
    try {
      parseImageReference(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(RuntimeError);
    expect(thrown).toMatchObject({ code: 'invalid_plan', retryable: false });
    expect((thrown as RuntimeError).message).toContain(problem);
  });

  it.each(['a', '-', 'a-', '_', 'a.', '@', ':', '/', 'a/', '[', '.'])(
    'is linear on 100 KB of %j',
    async (piece) => {
      const long = piece.repeat(100_000 / piece.length);
      // The longest text that reaches the expressions, too.
      const longest = piece.repeat(Math.floor(500 / piece.length)) + '!';
      const parseBoth = (): void => {
        expect(() => parseImageReference(long)).toThrow(RuntimeError);
        try {
          parseImageReference(longest);
        } catch (error) {
          expect(error).toBeInstanceOf(RuntimeError);
        }
      };
      expect(await leastMs(10, parseBoth, 50)).toBeLessThan(50);
    },
  );
});

describe('isAllowedRegistry', () => {
  const isAllowed = (text: string, allowed: string[] = []): boolean =>
    isAllowedRegistry(parseImageReference(text), allowed);

  it.each([
    'nginx',
    'team/app',
    'ghcr.io/x',
    'registry.example.com:5000/x',
    'a.b.c.example/x',
    'xn--n3h.com/x',
  ])('A11: allows the public name of %s when nothing is listed', (text) =>
    expect(isAllowed(text)).toBe(true),
  );

  it.each([
    '169.254.169.254/x',
    'localhost/x',
    'localhost:2375/x',
    'LOCALHOST:2375/x',
    '[::1]/x',
    '[::ffff:127.0.0.1]/x'.replace('127.0.0.1', '7f00:1'),
    '127.0.0.1:5000/x',
    '127.1:5000/x',
    '2130706433:80/x',
    '0x7f.0x1/x',
    '0177.0.0.1/x',
    'registry:5000/x',
    'metadata.google.internal/x',
    'printer.local/x',
    'db.localhost/x',
    'nas.home.arpa/x',
    'router.lan/x',
  ])('A11: refuses %s when nothing is listed', (text) => expect(isAllowed(text)).toBe(false));

  it('A11: takes private names only as they are listed, port included', () => {
    expect(isAllowed('localhost:5000/x', ['localhost:5000'])).toBe(true);
    expect(isAllowed('localhost:2375/x', ['localhost:5000'])).toBe(false);
    expect(isAllowed('localhost/x', ['localhost:5000'])).toBe(false);
    expect(isAllowed('[::1]:5000/x', ['[::1]:5000'])).toBe(true);
  });

  it('A11: with entries allows only those, and names below a star', () => {
    expect(isAllowed('nginx', ['ghcr.io'])).toBe(false);
    expect(isAllowed('nginx', ['ghcr.io', 'docker.io'])).toBe(true);
    expect(isAllowed('GHCR.io/x', ['ghcr.io'])).toBe(true);
    expect(isAllowed('a.example.com/x', ['*.example.com'])).toBe(true);
    expect(isAllowed('a.b.example.com/x', ['*.example.com'])).toBe(true);
    expect(isAllowed('example.com/x', ['*.example.com'])).toBe(false);
    expect(isAllowed('evilexample.com/x', ['*.example.com'])).toBe(false);
    expect(isAllowed('a.example.com:5000/x', ['*.example.com'])).toBe(false);
    expect(isAllowed('a.example.com:5000/x', ['*.example.com:5000'])).toBe(true);
  });
});

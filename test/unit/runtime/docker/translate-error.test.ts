import { describe, expect, it } from 'vitest';
import type { RuntimeErrorCode } from '../../../../src/runtime/errors.ts';
import { EngineStatusError, UnreadableReplyError } from '../../../../src/runtime/docker/reply-errors.ts';
import {
  type CallKind,
  hasStatus,
  missingNetworkOf,
  translateError,
} from '../../../../src/runtime/docker/translate-error.ts';
import { leastMs } from '../../../support/least-time.ts';

const OCI = 'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: ';

describe('translateError', () => {
  it.each<[CallKind, number, string, RuntimeErrorCode]>([
    ['create', 400, 'invalid CPU count', 'invalid_plan'],
    ['create', 404, 'No such image: app:1', 'image_not_found'],
    ['create', 404, 'network x not found', 'invalid_plan'],
    ['create', 409, 'Conflict. The container name "/job" is already in use', 'name_conflict'],
    ['create', 500, 'no space left on device', 'engine_error'],
    ['start', 404, 'No such container: abc', 'not_found'],
    ['start', 409, 'cannot start a container that is marked for removal', 'not_found'],
    ['start', 400, `${OCI}"x": executable file not found in $PATH: unknown`, 'start_failed'],
    ['start', 500, `${OCI}"x": permission denied: unknown`, 'start_failed'],
    ['start', 500, 'unable to find user nobody: no matching entries in passwd file', 'start_failed'],
    [
      'start',
      500,
      'driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated',
      'port_in_use',
    ],
    ['start', 500, 'listen tcp4 127.0.0.1:80: bind: address already in use', 'port_in_use'],
    ['start', 500, 'something broke', 'engine_error'],
    ['change', 404, 'No such container: abc', 'not_found'],
    ['query', 500, 'something broke', 'engine_error'],
    ['query', 503, 'starting', 'engine_unavailable'],
    [
      'pull',
      404,
      "pull access denied for x, repository does not exist or may require 'docker login': denied",
      'image_not_found',
    ],
    ['pull', 404, 'manifest for x:1 not found: manifest unknown', 'image_not_found'],
    ['pull', 500, 'Head "http://x/v2/": no basic auth credentials', 'image_unauthorized'],
    ['pull', 500, 'Get "https://x/v2/": dial tcp: lookup x: no such host', 'image_error'],
    ['pull', 500, 'Get "https://x/v2/": x509: certificate signed by unknown authority', 'image_error'],
  ])('takes a %s answered %i %j for %s', (kind, status, message, code) => {
    const error = translateError(new EngineStatusError(status, message), kind, 'do it');
    expect(error).toMatchObject({ code, message: `do it: ${message}` });
  });

  it.each(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'EACCES', 'HPE_INVALID_CONSTANT'])(
    'takes %s for an engine that is not there',
    (code) => {
      const error = translateError(Object.assign(new Error('x'), { code }), 'create', 'do it');
      expect(error).toMatchObject({ code: 'engine_unavailable', retryable: true });
    },
  );

  it('takes what cannot be read, and anything else, for a failing engine', () => {
    for (const error of [new UnreadableReplyError('x'), new TypeError('x'), 'x', undefined]) {
      expect(translateError(error, 'query', 'do it')).toMatchObject({ code: 'engine_error' });
    }
  });

  it('leaves its own errors as they are', () => {
    const first = translateError('x', 'query', 'first');
    expect(translateError(first, 'create', 'second')).toBe(first);
  });

  it('keeps the status and the missing network for those who can mend it', () => {
    const error = translateError(
      new EngineStatusError(404, 'network cm_net-1.x not found'),
      'start',
      'start it',
    );
    expect(hasStatus(error, 404)).toBe(true);
    expect(hasStatus(error, 409)).toBe(false);
    expect(missingNetworkOf(error)).toBe('cm_net-1.x');
    expect(missingNetworkOf(new Error('network x not found'))).toBeUndefined();
  });

  it.each(['network ', 'a', '-', 'denied:'])('L3: is linear on 100 KB of %j', async (piece) => {
    const message = piece.repeat(100_000 / piece.length);
    const translate = (): void => {
      for (const kind of ['create', 'start', 'pull'] as const) {
        missingNetworkOf(translateError(new EngineStatusError(404, message), kind, 'do it'));
      }
    };
    expect(await leastMs(10, translate, 50)).toBeLessThan(50);
  });
});

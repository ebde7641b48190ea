import type { Settings } from '../setting.ts';
import { path } from '../text-types.ts';

/** The API over TLS. */
export const TLS = {
  'tls.cert_file': {
    type: path(),
    text: 'certificate chain in PEM; with `tls.key_file` the API is served over TLS',
  },
  'tls.key_file': { type: path(), text: 'private key of `tls.cert_file` in PEM' },
} as const satisfies Settings;

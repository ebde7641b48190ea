import { hostList, networkList, originList } from '../list-types.ts';
import type { Settings } from '../setting.ts';
import { choice, path } from '../text-types.ts';
import { tokenList } from '../token-type.ts';

/** Who may use the API. */
export const AUTH = {
  'auth.mode': {
    type: choice(['tokens', 'none']),
    default: 'tokens',
    text: '`tokens`: without a token only this host is served; `none`: everybody is, with full rights over the engine',
  },
  'auth.tokens': {
    type: tokenList(),
    default: [],
    text: 'who may use the API from elsewhere; no flag, because other users can read those',
    isSecret: true,
    hasFlag: false,
  },
  'auth.token_file': {
    type: path(),
    text: 'a file with further tokens, one `NAME SCOPE TOKEN` per line, which no other user may read',
  },
  'auth.trusted_networks': {
    type: networkList(),
    default: [],
    text: 'networks whose clients are served as those on this host are',
  },
  'auth.allowed_hosts': {
    type: hostList(),
    default: [],
    text: 'names this node goes by in `Host`, besides addresses and `localhost`',
  },
  'auth.allowed_origins': {
    type: originList(),
    default: [],
    text: 'origins of web pages that may use the API',
  },
} as const satisfies Settings;

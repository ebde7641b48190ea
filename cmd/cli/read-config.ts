import { loadConfig, type ConfigInput, type LoadedConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/problem.ts';
import { decodeJoinToken, JoinTokenError } from '../../src/peers/join-token.ts';

/** The configuration as a node would take it: a join token that no node understands is as wrong as any other value. */
export function readConfig(input: ConfigInput): LoadedConfig {
  const loaded = loadConfig(input);
  const { join } = loaded.config;
  if (join === undefined) return loaded;
  try {
    decodeJoinToken(join);
  } catch (error) {
    if (!(error instanceof JoinTokenError)) throw error;
    const source = loaded.sources.join;
    const expected = 'a token as `cluster token` prints it';
    throw new ConfigError([
      { key: 'join', source, value: '***', expected, text: `join (${source}): ${error.message}` },
    ]);
  }
  return loaded;
}

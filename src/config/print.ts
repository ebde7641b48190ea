import { Document } from 'yaml';
import type { LoadedConfig } from './load.ts';
import { SETTING_KEYS, settingOf, type SettingKey } from './settings.ts';

/**
 * The whole configuration as a YAML file that means the same, apart from its secrets: those are `***`. With
 * `withSource` a comment beside each value says where it came from.
 */
export function printConfig(
  { config, sources }: LoadedConfig,
  options: { readonly withSource?: boolean } = {},
): string {
  const document = new Document({});
  for (const key of SETTING_KEYS) {
    const node = document.createNode(shownValue(key, config[key]), { flow: true });
    if (options.withSource === true) node.comment = ` ${sources[key]}`;
    document.setIn(key.split('.'), node);
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function shownValue(key: SettingKey, value: unknown): unknown {
  if (value === undefined) return null;
  const { isSecret, type } = settingOf(key);
  if (isSecret !== true) return type.show(value);
  return Array.isArray(value) && value.length === 0 ? [] : '***';
}

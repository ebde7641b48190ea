import type { Setting } from './setting.ts';
import { flagOf, SETTING_KEYS, settingOf, type SettingKey } from './settings.ts';

/** A flag for the parser of the command line. It has no default there: a default must not look like a choice. */
export interface FlagDescription {
  readonly key: SettingKey;
  /** Without dashes: `queue-size`. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Stands for the value: `int`. */
  readonly placeholder: string;
  /** For `--help`, with the default in words. */
  readonly description: string;
}

export const FLAGS: readonly FlagDescription[] = SETTING_KEYS.flatMap((key) => {
  const name = flagOf(key);
  if (name === undefined) return [];
  const setting = settingOf(key);
  const { text, type, aliases = [] } = setting;
  return [
    {
      key,
      name,
      aliases,
      placeholder: type.placeholder,
      description: withoutCode(text) + defaultNote(setting),
    },
  ];
});

/** `(default 100)`, and in quotes where the value is a text; nothing where there is no default to speak of. */
function defaultNote(setting: Setting): string {
  if (setting.defaultFrom !== undefined) return ` (default: ${withoutCode(setting.defaultFrom.text)})`;
  if (setting.default === undefined) return '';
  const shown = setting.type.show(setting.default);
  if (Array.isArray(shown)) return shown.length === 0 ? '' : ` (default "${shown.join(',')}")`;
  const isNumber = typeof shown === 'number' && setting.type.placeholder !== 'string';
  return ` (default ${isNumber ? String(shown) : `"${String(shown)}"`})`;
}

/** The texts are Markdown; a terminal needs no backticks. */
function withoutCode(text: string): string {
  return text.replaceAll('`', '');
}

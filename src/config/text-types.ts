import { isHost } from '../kernel/host.ts';
import { asIs, isPlainText, type SettingType } from './setting-type.ts';

/** Any text without control characters. */
export function text(allowed: string, pattern = /^.{1,4096}$/): SettingType<string> {
  return {
    allowed,
    placeholder: 'string',
    read: (input) => (isPlainText(input) && pattern.test(input) ? input : undefined),
    show: asIs,
  };
}

export function boolean(): SettingType<boolean> {
  return {
    allowed: '`true` or `false`',
    placeholder: 'bool',
    read: (input) => {
      if (input === true || input === 'true') return true;
      return input === false || input === 'false' ? false : undefined;
    },
    show: asIs,
  };
}

/** One of a closed set of words, in exactly this spelling. */
export function choice<const Word extends string>(words: readonly Word[]): SettingType<Word> {
  return {
    allowed: `one of ${words.map((word) => `\`${word}\``).join(', ')}`,
    placeholder: 'string',
    read: (input) => words.find((word) => word === input),
    show: asIs,
  };
}

/** Longest path that Linux takes. */
const MAX_PATH_LENGTH = 4096;

export function path(): SettingType<string> {
  return {
    allowed: 'a path (a leading `~` is not expanded)',
    placeholder: 'path',
    read(input) {
      if (!isPlainText(input) || input === '' || input.length > MAX_PATH_LENGTH) return undefined;
      return input.startsWith('~') ? undefined : input;
    },
    show: asIs,
  };
}

export function host(): SettingType<string> {
  return {
    allowed: 'an IP address or a host name',
    placeholder: 'string',
    read: (input) => (isPlainText(input) && isHost(input) ? input : undefined),
    show: asIs,
  };
}

import { duration } from '../number-types.ts';
import type { Settings } from '../setting.ts';
import { boolean, choice, path } from '../text-types.ts';

/** The controllers that clients are led to. */
export const CATALOG = {
  'catalog.file': {
    type: path(),
    text: 'the database of controllers, a JSON file that may be edited by hand; unset: `controllers.json` in the data dir',
  },
  'catalog.discovery': {
    type: choice(['startup', 'periodic', 'manual']),
    default: 'startup',
    text: 'when images are looked through for controllers: once at the start, then again and again, or only on request',
  },
  'catalog.discovery_interval': {
    type: duration({ min: 1000 }),
    default: 30 * 60_000,
    text: 'how often images are looked through with `catalog.discovery` periodic',
  },
  'catalog.follow_images': {
    type: boolean(),
    default: true,
    text: 'whether an image that comes, goes or changes is looked at as soon as the engine tells, unless discovery is manual',
  },
  'catalog.remove_missing': {
    type: boolean(),
    default: false,
    text: 'whether a controller that was discovered goes with its image; those made by hand never do',
  },
  'catalog.validate': {
    type: boolean(),
    default: true,
    text: 'whether the library of a controller is looked at before it is served',
  },
  'catalog.verify_symbols': {
    type: boolean(),
    default: true,
    text: 'whether a library without its procedure makes a controller invalid',
  },
  'catalog.live_test': {
    type: boolean(),
    default: false,
    text: 'whether a controller is also started once, locked up, and called, before it is served',
  },
} as const satisfies Settings;

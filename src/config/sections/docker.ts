import { duration } from '../number-types.ts';
import type { Settings } from '../setting.ts';
import { choice, text } from '../text-types.ts';

/** The engine, and how images come to it. */
export const DOCKER = {
  'docker.host': {
    type: text(
      'a socket or an address such as `unix:///var/run/docker.sock`',
      /^(?:unix|tcp|http|https):\/\/.{1,4000}$/,
    ),
    text: 'the Docker Engine to use; unset: `DOCKER_HOST`, else the usual sockets',
  },
  'docker.call_timeout': {
    type: duration({ min: 100 }),
    default: 60_000,
    text: 'how long one call to the engine may take',
  },
  'docker.network': {
    type: text('the name of a network', /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/),
    default: 'container-manager',
    text: 'the network containers are attached to; made when it is missing',
  },
  'docker.pull': {
    type: choice(['missing', 'always', 'never']),
    default: 'missing',
    text: 'when an image is pulled, where a job does not say it',
  },
  'docker.pull_timeout': {
    type: duration({ min: 1 }),
    default: 300_000,
    text: 'how long a pull may take, where a job does not say it',
  },
  'docker.pull_inactivity': {
    type: duration({ min: 1 }),
    default: 120_000,
    text: 'how long a pull may bring nothing new before it is given up',
  },
} as const satisfies Settings;

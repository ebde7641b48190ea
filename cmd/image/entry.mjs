#!/usr/local/bin/node
// The first program in a container of the image, and `container-manager` in it: becomes the ordinary user, with the
// group of the Docker socket, and then the program. As whom it runs is so decided where the socket is: its group has
// another number on each host. A container that was started as another user (`docker run --user`) stays as it is.
import { statSync } from 'node:fs';

const PROGRAM = '/app/container-manager.js';
/** The user and the group `node` of the image. */
const USER_ID = 1000;
const GROUP_ID = 1000;
const GROUP_MAY_READ_AND_WRITE = 0o060;

/** The groups that the engine's socket asks for; undefined where only its owner may use it. */
function socketGroups(env) {
  const host = env.CONTAINER_MANAGER_DOCKER_HOST || env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  const file = host.startsWith('unix://') ? host.slice('unix://'.length) : undefined;
  const socket = file && statSync(file, { throwIfNoEntry: false });
  // An engine elsewhere, or none yet: there is no file to be allowed to use.
  if (!socket) return [];
  const isForGroup = (socket.mode & GROUP_MAY_READ_AND_WRITE) === GROUP_MAY_READ_AND_WRITE;
  return isForGroup ? [socket.gid] : undefined;
}

function giveUpRoot() {
  const groups = socketGroups(process.env);
  if (groups === undefined) {
    process.stderr.write('container-manager stays root: no group may use the Docker socket\n');
    return;
  }
  try {
    process.setgroups(groups);
    process.setgid(GROUP_ID);
    process.setuid(USER_ID);
  } catch (error) {
    process.stderr.write(
      `container-manager cannot give up root (${error.code}): leave the container the capabilities SETUID and ` +
        'SETGID, or start it with --user and --group-add\n',
    );
    process.exit(1);
  }
}

if (process.getuid() === 0) giveUpRoot();
process.execve(process.execPath, [process.execPath, '--', PROGRAM, ...process.argv.slice(2)], process.env);

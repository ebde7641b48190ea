import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { NodeHome } from '../../support/node-process.ts';

test('a data dir that another node has is refused with its pid, and the first node is undisturbed', async () => {
  await using home = await NodeHome.create();
  const first = await home.start();
  const { job_id } = await first.rpc('ContainerService.Create', { image: 'no-such-image:1', pull: 'never' });
  const second = home.spawn({ env: { CONTAINER_MANAGER_PORT: '0' } });
  expect(await second.exited).toEqual({ code: 1, signal: null });
  expect(home.log()).toContain(`in use by another node (pid ${first.pid})`);
  expect(home.log()).toContain('--data-dir');
  expect(first.hasExited).toBe(false);
  expect((await first.get('/ready')).status).toBe(200);
  expect(await first.rpc('JobService.Wait', { job_id })).toMatchObject({ reason: 'image_missing' });
  // Nor did it take the name of the lock's holder away.
  const third = home.spawn({ env: { CONTAINER_MANAGER_PORT: '0' } });
  expect((await third.exited).code).toBe(1);
  expect(home.log().split(`(pid ${first.pid})`).length).toBe(3);
  await first.stop();
});

test('a port that is taken is named, with what to do', async () => {
  await using home = await NodeHome.create();
  const taken = createServer().listen(home.port, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const node = home.spawn();
    expect(await node.exited).toEqual({ code: 1, signal: null });
    expect(home.log()).toContain(String(home.port));
    expect(home.log()).toMatch(/in use/);
    expect(home.log()).toContain('--port');
    expect(stackLines(home.log())).toEqual([]);
  } finally {
    taken.close();
  }
  // Nothing was left behind that would keep the next start from working.
  const node = await home.start();
  expect(await node.stop()).toBe(0);
});

test('a data dir that cannot be written is named, with what to do', async () => {
  await using home = await NodeHome.create();
  mkdirSync(home.directory, { recursive: true });
  // A file in its place stops root as well, whom no mode stops.
  writeFileSync(home.dataDir, '');
  const node = home.spawn();
  expect(await node.exited).toEqual({ code: 1, signal: null });
  expect(home.log()).toContain(home.dataDir);
  expect(home.log()).toContain('--data-dir');
  expect(stackLines(home.log())).toEqual([]);
});

test('a data dir on a read-only mount is named, with what to do', async () => {
  await using home = await NodeHome.create();
  mkdirSync(home.dataDir, { recursive: true });
  chmodSync(home.dataDir, 0o700);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,ro', 'cm-test', home.dataDir]);
  try {
    const node = home.spawn();
    expect(await node.exited).toEqual({ code: 1, signal: null });
    expect(home.log()).toContain(home.dataDir);
    expect(home.log()).toMatch(/read-only/i);
    expect(home.log()).toContain('--data-dir');
  } finally {
    execFileSync('umount', [home.dataDir]);
  }
});

test('a key that others may read is refused, with what to do', async () => {
  await using home = await NodeHome.create();
  const first = await home.start();
  expect(await first.stop()).toBe(0);
  chmodSync(home.identityFile, 0o644);
  const node = home.spawn();
  expect(await node.exited).toEqual({ code: 1, signal: null });
  expect(home.log()).toContain(home.identityFile);
  chmodSync(home.identityFile, 0o600);
  expect(home.log()).toContain('chmod');
});

/** Stacks are for faults of ours, not for a start that the user can mend. */
function stackLines(log: string): string[] {
  return log.split('\n').filter((line) => /^\s+at |\\n\s+at /.test(line));
}

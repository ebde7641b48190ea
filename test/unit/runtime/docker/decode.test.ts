import { describe, expect, it } from 'vitest';
import { decodeEvent, eventFilters } from '../../../../src/runtime/docker/events.ts';
import { decodeInspect, decodeList, signalOf } from '../../../../src/runtime/docker/inspect.ts';
import { decodeStats } from '../../../../src/runtime/docker/stats.ts';

const CONTAINER = {
  Id: 'abc',
  Name: '/job',
  Created: '2026-01-02T03:04:05.678901234Z',
  Image: 'sha256:1',
  Config: { Labels: null },
  State: {
    Status: 'exited',
    StartedAt: '2026-01-02T03:04:06Z',
    FinishedAt: '2026-01-02T03:04:07Z',
    ExitCode: 137,
    OOMKilled: true,
    Error: '',
    Health: null,
  },
  NetworkSettings: {
    Networks: { none: { IPAddress: '' }, net: { IPAddress: '172.18.0.2' } },
    Ports: {
      '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '32768' }],
      '53/udp': null,
      '1/sctp': [{ HostIp: '', HostPort: '1' }],
    },
  },
};
const withState = (changes: object): unknown => ({ ...CONTAINER, State: { ...CONTAINER.State, ...changes } });

describe('decodeInspect', () => {
  it('reads an ended container', () => {
    expect(decodeInspect(CONTAINER)).toEqual({
      id: 'abc',
      name: 'job',
      labels: {},
      state: 'exited',
      createdAtMs: Date.parse('2026-01-02T03:04:05.678Z'),
      imageId: 'sha256:1',
      startedAtMs: Date.parse('2026-01-02T03:04:06Z'),
      exit: {
        exitCode: 137,
        signal: 'SIGKILL',
        oomKilled: true,
        finishedAtMs: Date.parse('2026-01-02T03:04:07Z'),
        message: undefined,
      },
      health: 'none',
      address: '172.18.0.2',
      ports: [{ containerPort: 80, protocol: 'tcp', hostPort: 32_768, hostAddress: '127.0.0.1' }],
    });
  });

  it.each([
    ['created', 'created'],
    ['running', 'running'],
    ['restarting', 'running'],
    ['paused', 'paused'],
    ['removing', 'exited'],
    ['dead', 'exited'],
  ])('takes %s for %s', (Status, state) => expect(decodeInspect(withState({ Status })).state).toBe(state));

  it.each([{ Status: 'flying' }, { Status: 'constructor' }, { StartedAt: 'soon' }, { ExitCode: '0' }])(
    'refuses a state with %j',
    (changes) => expect(() => decodeInspect(withState(changes))).toThrow(/inspect reply/),
  );

  it('has no start where there was none', () => {
    const never = withState({
      Status: 'created',
      StartedAt: '0001-01-01T00:00:00Z',
      FinishedAt: '0001-01-01T00:00:00Z',
    });
    expect(decodeInspect(never)).toMatchObject({ startedAtMs: undefined, exit: undefined });
  });
});

it('decodeList reads a container that has lost its name', () => {
  const listed = { Id: 'abc', Names: null, Labels: null, State: 'removing', Created: 1_700_000_000 };
  expect(decodeList([listed])).toEqual([
    { id: 'abc', name: '', labels: {}, state: 'exited', createdAtMs: 1_700_000_000_000 },
  ]);
});

it.each([
  [128, undefined],
  [129, 'SIGHUP'],
  [143, 'SIGTERM'],
  [192, undefined],
  [255, undefined],
  [-1, undefined],
])('signalOf(%i) is %s', (exitCode, signal) => expect(signalOf(exitCode)).toBe(signal));

describe('decodeEvent', () => {
  const line = (Action: string, extra: object = {}): unknown => ({
    Type: 'container',
    Action,
    Actor: { ID: 'abc', Attributes: { image: 'app', name: 'job', exitCode: '0', team: 'blue' } },
    timeNano: 1_700_000_000_123_456_789,
    ...extra,
  });

  it('reads what it follows, and leaves the rest', () => {
    expect(decodeEvent(line('die'), {})).toEqual({
      type: 'exited',
      id: 'abc',
      labels: { team: 'blue' },
      atMs: 1_700_000_000_123,
    });
    expect(decodeEvent(line('health_status: healthy'), {})?.type).toBe('health');
    expect(decodeEvent(line('exec_create: sh'), {})).toBeUndefined();
    expect(decodeEvent(line('create', { Type: 'network' }), {})).toBeUndefined();
  });

  it('keeps out what carries other labels, whatever the engine was asked for', () => {
    expect(decodeEvent(line('die'), { team: 'red' })).toBeUndefined();
    expect(eventFilters({ team: 'red', a: 'b' })['label']).toEqual(['team=red', 'a=b']);
  });
});

describe('decodeStats', () => {
  const sample = {
    read: '2026-01-01T00:00:02Z',
    preread: '2026-01-01T00:00:01Z',
    cpu_stats: { cpu_usage: { total_usage: 3_000_000_000 } },
    precpu_stats: { cpu_usage: { total_usage: 1_500_000_000 } },
    memory_stats: { usage: 1000, limit: 5000, stats: { total_inactive_file: 300, inactive_file: 999 } },
    pids_stats: { current: 4 },
    networks: { eth0: { rx_bytes: 1, tx_bytes: 2 }, eth1: { rx_bytes: 10, tx_bytes: 20 } },
    blkio_stats: {
      io_service_bytes_recursive: [
        { op: 'Read', value: 5 },
        { op: 'Write', value: 6 },
        { op: 'Total', value: 11 },
      ],
    },
  };

  it('reads a sample of cgroup v1', () => {
    expect(decodeStats(sample)).toEqual({
      cpus: 1.5,
      memoryBytes: 700,
      memoryLimitBytes: 5000,
      networkReceivedBytes: 11,
      networkSentBytes: 22,
      blockReadBytes: 5,
      blockWrittenBytes: 6,
      pids: 4,
    });
  });

  it('reads a sample of cgroup v2', () => {
    const v2 = {
      ...sample,
      memory_stats: { usage: 1000, limit: 5000, stats: { inactive_file: 400 } },
      blkio_stats: { io_service_bytes_recursive: [{ op: 'read', value: 7 }] },
    };
    expect(decodeStats(v2)).toMatchObject({ memoryBytes: 600, blockReadBytes: 7, blockWrittenBytes: 0 });
  });

  it('says nothing of what does not run, and no processor usage without a sample before', () => {
    expect(decodeStats({ ...sample, memory_stats: {} })).toBeUndefined();
    expect(decodeStats({ ...sample, preread: '0001-01-01T00:00:00Z' })?.cpus).toBe(0);
    const none = { ...sample, networks: undefined, blkio_stats: { io_service_bytes_recursive: null } };
    expect(decodeStats(none)).toMatchObject({ networkReceivedBytes: 0, blockReadBytes: 0 });
  });
});

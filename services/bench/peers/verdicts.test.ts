/** The goals against runs made up for it: each outcome, its figures, and what has no figure. */
import { expect, test } from '@jest/globals';
import type { DoorName } from './peer.ts';
import { type Figures, figuresOf, type RowFigures, waitsOf } from './results.ts';
import { rate, type Verdict, verdictsOf } from './verdicts.ts';

const NOTHING: Figures = {
  rows: [],
  gaps: [],
  disk: null,
  failOver: [],
  restart: [],
  restartKeys: 1_000_000,
};

function row(id: string, door: DoorName, over: Partial<RowFigures> = {}): RowFigures {
  const slice = {
    ...{ perSecond: 100, p50Ms: 1, p99Ms: 10, operations: 1, errors: {} },
    ...{ cpuSeconds: 1, memoryBytes: 1, otherCores: 0, storedBytes: 0, diskBytes: 0 },
  };
  return { ...figuresOf(id, door, [slice]), ...over };
}

function verdict(figures: Partial<Figures>, goal: string): Verdict {
  const all = verdictsOf({ ...NOTHING, ...figures });
  const found = all.filter((each) => each.goal === goal);
  expect([goal, found.length, all.map((each) => each.goal)]).toEqual([goal, 1, expect.anything()]);
  return found[0]!;
}

test('without figures no goal is judged', () => {
  const all = verdictsOf(NOTHING);
  expect(all.length).toBeGreaterThan(20);
  expect(new Set(all.map(({ outcome }) => outcome))).toEqual(new Set(['not measured']));
  expect(new Set(all.map(({ goal }) => goal)).size).toBe(all.length);
});

const PUT = 'PUT 1 KiB, 64 connections';
const puts = (ours: Partial<RowFigures>, ...others: RowFigures[]): Partial<Figures> => ({
  rows: [row('put-1k-64', 'minikv', ours), row('put-1k-64', 'etcd'), ...others],
});

test('twice etcd is measured by the better of its two ways', () => {
  const goal = `${PUT}: 2x etcd`;
  expect(verdict(puts({ perSecond: 200 }), goal).outcome).toBe('holds');
  const grpc = row('put-1k-64', 'etcd, gRPC', { perSecond: 125 });
  expect(verdict(puts({ perSecond: 200 }, grpc), goal)).toEqual({
    goal,
    outcome: 'falls short',
    why: '200/s against 250/s (2 x etcd, gRPC): 20 % less',
  });
});

test('above every peer counts those that do not sync, and names the one that is faster', () => {
  const goal = `${PUT}: above every peer`;
  expect(verdict(puts({ perSecond: 101 }), goal).outcome).toBe('holds');
  const fast = row('put-1k-64', 'SeaweedFS volumes', { perSecond: 202 });
  expect(verdict(puts({ perSecond: 101 }, fast), goal).why).toBe(
    '101/s against 202/s (SeaweedFS volumes): 50 % less',
  );
  const rust = row('put-1k-64', 'minikv (Rust)', { perSecond: 202 });
  expect(verdict(puts({ perSecond: 101 }, rust), goal).outcome).toBe('falls short');
  const redirect = row('put-1k-64', 'minikv, redirect', { perSecond: 202 });
  expect(verdict(puts({ perSecond: 101 }, redirect), goal).outcome).toBe('holds');
});

test('a peer with errors is no bar, and minikv with errors holds nothing', () => {
  const goal = `${PUT}: above every peer`;
  const broken = row('put-1k-64', 'SeaweedFS filer', { perSecond: 900, errors: { '500': 1 } });
  expect(verdict(puts({ perSecond: 101 }, broken), goal).outcome).toBe('holds');
  expect(verdict(puts({ perSecond: 900, errors: { '503 X': 2 } }), goal)).toMatchObject({
    outcome: 'falls short',
    why: '2 errors',
  });
});

test('a tail longer than that of etcd falls short', () => {
  const goal = `${PUT}: p99 no worse than etcd's`;
  expect(verdict(puts({ p99Ms: 10 }), goal).outcome).toBe('holds');
  expect(verdict(puts({ p99Ms: 15 }), goal)).toMatchObject({
    outcome: 'falls short',
    why: '15.0 ms against 10.0 ms: 50 % more',
  });
});

test('a missing key is held against GETs of keys that are there', () => {
  const goal = "GET of a missing key, 64 connections: 1.5x the fastest peer's GET of 1 KiB";
  const rows = [row('miss-1k-64', 'minikv', { perSecond: 150 }), row('get-1k-64', 'etcd')];
  expect(verdict({ rows }, goal).outcome).toBe('holds');
  expect(
    verdict({ rows: [...rows, row('get-1k-64', 'SeaweedFS volumes', { perSecond: 101 })] }, goal)
      .outcome,
  ).toBe('falls short');
});

test('large PUTs are held against a third of what the disk writes', () => {
  const goal = "PUT 1 MiB, 16 connections: 85 % of the disk's limit";
  const rows = [row('put-1m-16', 'minikv', { perSecond: 86 })];
  const of = (mib: number): Verdict =>
    verdict({ rows, disk: { bytesPerSecond: mib * 1024 ** 2 } }, goal);
  expect(of(300).outcome).toBe('holds');
  expect(of(330)).toMatchObject({
    outcome: 'falls short',
    why: expect.stringContaining('8 % less'),
  });
});

test('large GETs: by proxy against the filer, by redirect against volumes', () => {
  const rows = [
    row('get-1m-16', 'minikv', { perSecond: 90 }),
    row('get-1m-16', 'minikv, redirect', { perSecond: 71 }),
    row('get-1m-16', 'SeaweedFS filer', { perSecond: 91 }),
    row('get-1m-16', 'SeaweedFS volumes', { perSecond: 100 }),
  ];
  const title = 'GET 1 MiB, 16 connections';
  expect(verdict({ rows }, `${title}: SeaweedFS' filer`).outcome).toBe('falls short');
  const redirect = `${title}, by redirect: 70 % of SeaweedFS' volumes`;
  expect(verdict({ rows }, redirect).outcome).toBe('holds');
});

test('waits are judged by their median', () => {
  const goal = 'median of fail-over: under 300 ms';
  const failOver = (...waits: number[]) => ({ failOver: [waitsOf('minikv', waits, null)] });
  expect(verdict(failOver(100, 299, 5000), goal).outcome).toBe('holds');
  expect(verdict(failOver(100, 301, 5000), goal)).toMatchObject({
    outcome: 'falls short',
    why: '301 ms',
  });
  const restart = 'restart: first linearizable read in under 1 s';
  const waits = { restart: [waitsOf('minikv', [900], null)], restartKeys: 5000 };
  expect(verdict(waits, restart)).toMatchObject({
    outcome: 'holds',
    why: '900 ms with 5,000 keys; the goal is of 1,000,000',
  });
});

test('disk and memory', () => {
  const disk = 'disk bytes per stored byte, 1 KiB: at most 3.5';
  expect(verdict(puts({ diskPerByte: 3.5 }), disk).outcome).toBe('holds');
  expect(verdict(puts({ diskPerByte: 3.51 }), disk).outcome).toBe('falls short');
  const memory = "memory after PUTs of 1 KiB: at most SeaweedFS'";
  const weed = row('put-1k-64', 'SeaweedFS volumes', { memoryBytes: 400 * 1024 ** 2 });
  expect(verdict(puts({ memoryBytes: 600 * 1024 ** 2 }, weed), memory)).toMatchObject({
    outcome: 'falls short',
    why: '600 MiB against 400 MiB: 50 % more',
  });
});

test('rates have three figures or no fraction', () => {
  expect([0.5, 31.26, 99.96, 100.4, 12_345.6].map(rate)).toEqual([
    '0.500',
    '31.3',
    '100',
    '100',
    '12,346',
  ]);
});

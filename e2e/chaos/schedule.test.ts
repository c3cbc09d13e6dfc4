import { describe, expect, test } from '@jest/globals';
import { KINDS, type Round, scheduleOf } from './schedule.ts';

const scheduled = (seed: number, rounds = 30): readonly Round[] =>
  scheduleOf({
    seed,
    rounds,
    roundMs: 60_000,
    kinds: KINDS,
    fillable: ['c2', 'v2'],
    clocked: ['c1', 'v1'],
  });

const SEEDS = Array.from({ length: 20 }, (_, i) => i);
/** What a process suffers itself; links may fail beside it. */
const OWN = ['kill-one', 'pause', 'disk-full', 'damage', 'clock', 'descriptors', 'rolling'];

describe('a schedule', () => {
  test('is the same for the same seed, and another one for another', () => {
    expect(scheduled(7)).toEqual(scheduled(7));
    expect(scheduled(7)).not.toEqual(scheduled(8));
  });

  test('has every kind, and more than five faults in each minute', () => {
    for (const seed of SEEDS) {
      const rounds = scheduled(seed);
      for (const { faults } of rounds) expect(faults.length).toBeGreaterThan(5);
      const kinds = new Set(rounds.flatMap(({ faults }) => faults.map(({ kind }) => kind)));
      expect([...kinds].sort()).toEqual([...KINDS].sort());
    }
  });

  test('combines: in most bursts several faults are in force at once', () => {
    const faults = scheduled(3).flatMap((round) => round.faults);
    const overlapping = faults.filter(({ atMs, lengthMs }, i) => {
      const next = faults[i + 1];
      return next !== undefined && next.atMs > atMs && next.atMs < atMs + lengthMs;
    });
    expect(overlapping.length).toBeGreaterThan(faults.length / 4);
  });

  test('lets files of one coordinator and one volume decay in a round, and one at a time', () => {
    for (const { faults } of SEEDS.flatMap((seed) => scheduled(seed))) {
      const victims = new Set(
        faults.filter(({ kind }) => kind === 'damage').flatMap(({ names }) => names),
      );
      expect([...victims].filter((name) => name.startsWith('c')).length).toBeLessThan(2);
      expect([...victims].filter((name) => name.startsWith('v')).length).toBeLessThan(2);
    }
  });

  test('does two things to one process in a burst only where one of them is done to its links', () => {
    for (const { faults } of SEEDS.flatMap((seed) => scheduled(seed))) {
      const own = faults.filter(({ kind }) => OWN.includes(kind));
      for (const [i, one] of own.entries()) {
        const near = own.slice(i + 1).filter(({ atMs }) => atMs - one.atMs < 6000);
        const both = near.filter(({ names }) => names.some((name) => one.names.includes(name)));
        expect(both).toEqual([]);
      }
    }
  });

  test('fills and turns only what it may', () => {
    for (const { faults } of SEEDS.flatMap((seed) => scheduled(seed))) {
      for (const { kind, names } of faults) {
        if (kind === 'disk-full') expect(['c2', 'v2']).toContain(names[0]);
        if (kind === 'clock') expect(['c1', 'v1']).toContain(names[0]);
      }
    }
  });
});

import { getHeapSpaceStatistics } from 'node:v8';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { collectYoung } from '../testing/collect-garbage.ts';
import { InFlight } from './in-flight.ts';
import { KIB, MIB } from './units.ts';

const oldBytes = (): number =>
  getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? 0;

describe('what is under way', () => {
  test('is found as in a Map, oldest first, whatever comes and goes', () => {
    const key = fc.integer({ min: 0, max: 9 });
    const action = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key, value: fc.integer() }),
      fc.record({ kind: fc.constant('take' as const), key }),
      fc.record({ kind: fc.constant('drain' as const) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100, size: 'max' }), (actions) => {
        const inFlight = new InFlight<number, number>();
        const model = new Map<number, number>();
        for (const step of actions) {
          if (step.kind === 'set') {
            inFlight.set(step.key, step.value);
            model.set(step.key, step.value);
          } else if (step.kind === 'take') {
            expect(inFlight.take(step.key)).toBe(model.get(step.key));
            model.delete(step.key);
          } else {
            expect(inFlight.drain()).toEqual([...model.values()]);
            model.clear();
          }
          expect(inFlight.size).toBe(model.size);
          expect(inFlight.entries()).toEqual([...model]);
        }
        for (let at = 0; at < 10; at += 1) {
          expect(inFlight.has(at)).toBe(model.has(at));
          expect(inFlight.get(at)).toBe(model.get(at));
        }
      }),
    );
  });

  test('may change while it is gone through', () => {
    const inFlight = new InFlight<string, number>();
    inFlight.set('a', 1);
    inFlight.set('b', 2);
    const seen: string[] = [];
    for (const [key] of inFlight.entries()) {
      seen.push(key);
      inFlight.take(key);
      inFlight.set(`${key}${key}`, 3);
    }
    expect(seen).toEqual(['a', 'b']);
    expect(inFlight.entries()).toEqual([
      ['aa', 3],
      ['bb', 3],
    ]);
  });

  test('does not make old what has ended, as a Map does', () => {
    const inFlight = new InFlight<number, number[]>();
    inFlight.set(-1, []);
    for (let i = 0; i < 3; i += 1) collectYoung();
    // Its table is old now.
    const before = oldBytes();
    for (let i = 0; i < 40_000; i += 1) {
      inFlight.set(
        i,
        Array.from({ length: KIB / 8 }, () => i),
      );
      inFlight.take(i - 10);
      if (i % 500 === 0) collectYoung();
    }
    // In a Map 20 MiB.
    expect(oldBytes() - before).toBeLessThan(4 * MIB);
  });
});

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { InFlight } from './in-flight.ts';

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
});

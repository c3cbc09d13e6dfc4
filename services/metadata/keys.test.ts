import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareBytes } from '../common/bytes.ts';
import { afterPrefix } from './keys.ts';

describe('afterPrefix', () => {
  test('is the least key above all that begin with the prefix', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 6 }),
        fc.uint8Array(),
        (prefix, rest) => {
          const end = afterPrefix(prefix);
          const inside = new Uint8Array([...prefix, ...rest]);
          if (end === undefined) {
            expect(prefix.every((byte) => byte === 0xff)).toBe(true);
            return;
          }
          expect(compareBytes(inside, end)).toBeLessThan(0);
          expect(compareBytes(end.subarray(0, end.length - 1), prefix)).toBeLessThanOrEqual(0);
        },
      ),
    );
  });

  test('leaves the prefix as it was, also where slicing would be a view', () => {
    const prefix = Buffer.from('large/');
    expect(Buffer.from(afterPrefix(prefix) ?? []).toString()).toBe('large0');
    expect(prefix.toString()).toBe('large/');
  });
});

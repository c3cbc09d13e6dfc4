/** Kinds are found again by what stands in an object. */
import { expect, test } from '@jest/globals';
import { KINDS, kindOf } from './kinds.ts';

test('each kind is found by apiVersion and kind', () => {
  for (const kind of Object.values(KINDS)) expect(kindOf(kind)).toBe(kind);
});

test('an object of a kind that the operator does not touch is a bug', () => {
  expect(() => kindOf({ apiVersion: 'v1', kind: 'Secret' })).toThrow('kind v1 Secret');
});

/** Sameness of content, and whether a live object holds what is wanted. */
import { expect, test } from '@jest/globals';
import { contentHash, holds } from './manifest.ts';
import { parseClaimName, parsePodName } from './names.ts';

test('a hash sees values, not the order of fields', () => {
  expect(contentHash({ a: 1, b: [1, 2] })).toBe(contentHash({ b: [1, 2], a: 1, c: undefined }));
  expect(contentHash({ a: [1, 2] })).not.toBe(contentHash({ a: [2, 1] }));
});

test.each<[string, unknown, unknown, boolean]>([
  ['more beside it', { a: 1, added: true }, { a: 1 }, true],
  ['another value', { a: 2 }, { a: 1 }, false],
  ['absent', {}, { a: 1 }, false],
  ['a shorter list', { a: [1] }, { a: [1, 2] }, false],
  ['a longer list', { a: [1, 2] }, { a: [1] }, false],
  ['a quantity spelled anew', { memory: '1Gi' }, { memory: '1024Mi' }, true],
  ['another quantity', { memory: '2Gi' }, { memory: '1Gi' }, false],
  ['an empty text dropped by the server', {}, { value: '' }, true],
  ['an empty map dropped by the server', {}, { labels: {} }, true],
  ['an empty list dropped by the server', {}, { tolerations: [] }, true],
  ['an empty list, and a value', { tolerations: ['x'] }, { tolerations: [] }, false],
  ['an empty list, and null', { tolerations: null }, { tolerations: [] }, false],
  ['a list that is absent', {}, { tolerations: ['x'] }, false],
  ['cores in thousandths', { cpu: '700m' }, { cpu: 0.7 }, true],
  ['cores as a text in thousandths', { cpu: '1100m' }, { cpu: '1.1' }, true],
  ['a thousandth of a core less', { cpu: '699m' }, { cpu: '0.7' }, false],
  ['a fraction of a unit', { memory: '1005' }, { memory: '1.005k' }, true],
  ['one byte of many', { memory: '1073741825' }, { memory: '1Gi' }, false],
  ['a text for a number', { a: '1' }, { a: 1 }, true],
])('%s', (_what, live, wanted, expected) => {
  expect(holds(live, wanted)).toBe(expected);
});

test.each([
  ['demo-volume-0', { role: 'volume', ordinal: 0 }],
  ['demo-coordinator-11', { role: 'coordinator', ordinal: 11 }],
  ['demo-volume-01', null],
  ['demo-volume-', null],
  ['demo-volume-x', null],
  ['other-volume-0', null],
])('pod %s', (name, expected) => {
  expect(parsePodName('demo', name)).toEqual(expected);
});

test.each([
  ['data-demo-volume-2', { role: 'volume', ordinal: 2, pod: 'demo-volume-2' }],
  ['wal-demo-volume-2', { role: 'volume', ordinal: 2, pod: 'demo-volume-2' }],
  ['wal-demo-coordinator-2', null],
  ['data-demo', null],
])('claim %s', (name, expected) => {
  expect(parseClaimName('demo', name)).toEqual(expected);
});

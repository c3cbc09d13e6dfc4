import { describe, expect, test } from '@jest/globals';
import { checkHello, type ExpectedHello, helloTo, type Introduction } from './hello.ts';

const CLUSTER = 'a'.repeat(32);
const self: Introduction = {
  clusterId: CLUSTER,
  role: 'coordinator',
  name: 'coord-0',
  from: 1,
  bootId: 7,
  address: '',
  version: '',
  httpAddress: '',
};
const expected: ExpectedHello = { role: 'coordinator', clusterId: CLUSTER, to: 2 };
const codeOf = (wanted: ExpectedHello, hello = helloTo(self, 2)): string =>
  checkHello(wanted, hello)?.code ?? 'accepted';

describe('a hello', () => {
  test('meant for this node is accepted', () => {
    expect(codeOf(expected)).toBe('accepted');
    expect(codeOf({ ...expected, from: 1, name: 'coord-0' })).toBe('accepted');
  });

  test.each([
    ['no hello at all', expected, undefined, 'INVALID_ARGUMENT'],
    ['another protocol', expected, { protocol: 2 }, 'PRECONDITION_FAILED'],
    ['another role', expected, { role: 'volume' }, 'WRONG_NODE'],
    ['another cluster', expected, { clusterId: 'b'.repeat(32) }, 'WRONG_CLUSTER'],
    ['for another node', expected, { to: 3 }, 'WRONG_NODE'],
    ['from another node', { ...expected, from: 1 }, { from: 3 }, 'WRONG_NODE'],
    ['from a node without an id', { ...expected, from: 1 }, { from: 0 }, 'WRONG_NODE'],
    ['from another name', { ...expected, name: 'coord-0' }, { name: 'x' }, 'WRONG_NODE'],
  ] as const)('%s is refused', (_, wanted, change, code) => {
    const hello = change === undefined ? undefined : { ...helloTo(self, 2), ...change };
    expect(checkHello(wanted, hello)?.code).toBe(code);
  });

  test('before a cluster is known, any may speak, and one without may be spoken to', () => {
    expect(codeOf({ ...expected, clusterId: null })).toBe('accepted');
    expect(codeOf(expected, { ...helloTo(self, 0), clusterId: '' })).toBe('accepted');
  });
});

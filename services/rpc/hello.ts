/**
 * The first message of every stream and a part of every unary request: who speaks, and to whom. A
 * receiver that is not meant refuses, so that a stale address never mixes two clusters or two nodes.
 */
import { KvError } from '../common/errors.ts';
import { STATE_FORMAT } from '../common/version.ts';
import type { Hello } from './generated/common.ts';

export const PROTOCOL_VERSION = 1;

/** Who this process is, as it introduces itself. */
export type Introduction = Omit<Hello, 'protocol' | 'stateFormat' | 'to'>;

/** A hello from `self` to node or disk `to` (0: not known). */
export const helloTo = (self: Introduction, to: number): Hello => ({
  ...self,
  protocol: PROTOCOL_VERSION,
  stateFormat: STATE_FORMAT,
  to,
});

/** What a hello must say; null and absent: anything. */
export interface ExpectedHello {
  readonly role: 'coordinator' | 'volume';
  /** Null where this process has no cluster yet: then any is accepted. */
  readonly clusterId: string | null;
  /** Own node id or disk number; a hello to 0 comes from somebody who does not know it yet. */
  readonly to: number | null;
  readonly from?: number | null;
  readonly name?: string | null;
}

/** Why this hello is refused, or null where it is accepted. */
export function checkHello(expected: ExpectedHello, hello: Hello | undefined): KvError | null {
  if (hello === undefined) return new KvError('INVALID_ARGUMENT', 'the first message is no hello');
  const { protocol, role, clusterId } = hello;
  if (protocol !== PROTOCOL_VERSION) {
    return new KvError('PRECONDITION_FAILED', `protocol ${protocol} is not spoken here`, {
      detail: { protocol, spoken: PROTOCOL_VERSION },
    });
  }
  if (role !== expected.role) {
    return new KvError('WRONG_NODE', `a ${expected.role} is expected here, not a ${role}`);
  }
  // Before it has met a cluster, a process says none.
  if (expected.clusterId !== null && clusterId !== '' && clusterId !== expected.clusterId) {
    return new KvError('WRONG_CLUSTER', 'the peer belongs to another cluster', {
      detail: { expected: expected.clusterId, got: clusterId },
    });
  }
  return checkParties(expected, hello);
}

function checkParties(expected: ExpectedHello, { to, from, name }: Hello): KvError | null {
  if (expected.to !== null && to !== 0 && to !== expected.to) {
    return wrongNode('to', expected.to, to);
  }
  if (typeof expected.from === 'number' && from !== expected.from) {
    return wrongNode('from', expected.from, from);
  }
  if (typeof expected.name === 'string' && name !== expected.name) {
    return wrongNode('name', expected.name, name);
  }
  return null;
}

const wrongNode = (field: string, expected: string | number, got: string | number): KvError =>
  new KvError('WRONG_NODE', `the hello's ${field} is another node's`, {
    detail: { field, expected, got },
  });

import { describe, expect, test } from '@jest/globals';
import { clusterId, nodeId } from '../common/ids.ts';
import type { DirectoryState } from '../consensus/node-folder.ts';
import {
  type BootstrapAction,
  type BootstrapRules,
  confirms,
  decide,
  isRequestOpen,
  type OwnView,
  type PeerAnswer,
  refusalOfPeers,
} from './bootstrap-rules.ts';

const NAMES = ['a', 'b', 'c'];
const A = clusterId('a'.repeat(32));
const B = clusterId('b'.repeat(32));
const MEMBERS = NAMES.map((name, i) => ({ node: nodeId(i + 1), name, address: `${name}:1` }));
const AUTO: BootstrapRules = { mode: 'auto', clusterId: null, members: MEMBERS };
const MANUAL: BootstrapRules = { ...AUTO, mode: 'manual' };

const identityOf = (name: string, id = A) => ({
  clusterId: id,
  node: nodeId(NAMES.indexOf(name) + 1),
  name,
  members: MEMBERS,
});

const own = (name: string, state: DirectoryState, confirmed: readonly string[] = []): OwnView => ({
  name,
  state,
  identity: state === 'empty' ? null : identityOf(name),
  confirmed: new Set(confirmed),
});

const says = (name: string, state: PeerAnswer['state'], id = A as string): PeerAnswer => {
  const isBlank = ['empty', 'waiting', 'unreachable'].includes(state);
  return { name, state, clusterId: isBlank ? '' : id, members: isBlank ? [] : MEMBERS };
};

const first = own('a', 'empty');
const second = own('b', 'empty');

describe('an empty node', () => {
  test.each<[string, OwnView, PeerAnswer[], BootstrapRules, Partial<BootstrapAction>]>([
    [
      'first of all, mints',
      first,
      [says('b', 'empty'), says('c', 'empty')],
      AUTO,
      { kind: 'arm', clusterId: null },
    ],
    [
      'not the first, waits for it',
      second,
      [says('a', 'empty'), says('c', 'empty')],
      AUTO,
      { kind: 'wait', peer: 'a' },
    ],
    [
      'joins an armed peer',
      second,
      [says('a', 'armed'), says('c', 'empty')],
      AUTO,
      { kind: 'arm', clusterId: A },
    ],
    [
      'joins, though it is the first',
      first,
      [says('b', 'armed', B), says('c', 'empty')],
      AUTO,
      { kind: 'arm', clusterId: B },
    ],
    [
      'takes the id of its settings',
      second,
      [says('a', 'empty'), says('c', 'empty')],
      { ...AUTO, clusterId: B },
      { kind: 'arm', clusterId: B },
    ],
    [
      'alone in its cluster, mints',
      first,
      [],
      { ...AUTO, members: MEMBERS.slice(0, 1) },
      { kind: 'arm', clusterId: null },
    ],
    [
      'does not take silence for emptiness',
      first,
      [says('b', 'empty'), says('c', 'unreachable')],
      AUTO,
      { kind: 'wait', peer: 'c' },
    ],
    [
      'does not join while one is silent',
      second,
      [says('a', 'armed'), says('c', 'unreachable')],
      AUTO,
      { kind: 'wait', peer: 'c' },
    ],
    [
      'that sees a member is waiting',
      first,
      [says('b', 'member'), says('c', 'armed')],
      AUTO,
      { kind: 'waiting', peer: 'b' },
    ],
    [
      'that sees a member is waiting, whoever is silent',
      first,
      [says('b', 'unreachable'), says('c', 'member')],
      AUTO,
      { kind: 'waiting', peer: 'c' },
    ],
    [
      'that sees a recovering node is waiting',
      first,
      [says('b', 'empty'), says('c', 'recovering')],
      AUTO,
      { kind: 'waiting', peer: 'c' },
    ],
    [
      'that sees a void node is waiting',
      first,
      [says('b', 'empty'), says('c', 'void')],
      AUTO,
      { kind: 'waiting', peer: 'c' },
    ],
    [
      'does not arm beside a waiting one',
      first,
      [says('b', 'empty'), says('c', 'waiting')],
      AUTO,
      { kind: 'wait', peer: 'c' },
    ],
    [
      'stands back from two clusters',
      first,
      [says('b', 'armed', A), says('c', 'armed', B)],
      AUTO,
      { kind: 'wait', peer: 'c' },
    ],
    [
      'stands back from another cluster than its settings name',
      second,
      [says('a', 'armed', A), says('c', 'empty')],
      { ...AUTO, clusterId: B },
      { kind: 'wait', peer: 'a' },
    ],
    [
      'stands back from another member list',
      second,
      [{ ...says('a', 'armed'), members: MEMBERS.slice(0, 2) }, says('c', 'empty')],
      AUTO,
      { kind: 'wait', peer: 'a' },
    ],
    [
      'in manual mode waits for the call',
      first,
      [says('b', 'empty'), says('c', 'empty')],
      MANUAL,
      { kind: 'wait', peer: 'a' },
    ],
    [
      'in manual mode does not even join',
      second,
      [says('a', 'armed'), says('c', 'empty')],
      MANUAL,
      { kind: 'wait', peer: 'b' },
    ],
  ])('%s', (_, ...[view, answers, rules, action]) => {
    expect(decide(view, answers, rules)).toMatchObject(action);
  });
});

describe('a node with an identity', () => {
  test('armed, starts once all peers were seen with one', () => {
    const answers = [says('b', 'armed'), says('c', 'unreachable')];
    expect(decide(own('a', 'armed', ['b']), answers, AUTO)).toMatchObject({
      kind: 'wait',
      peer: 'c',
    });
    expect(decide(own('a', 'armed', ['b', 'c']), answers, AUTO)).toEqual({ kind: 'start' });
  });

  test.each<[PeerAnswer['state'], boolean]>([
    ['armed', true],
    ['member', true],
    ['recovering', true],
    ['empty', false],
    ['waiting', false],
    ['void', false],
    ['unreachable', false],
  ])('counts a peer that is %s: %s', (state, isConfirmed) => {
    expect(confirms(identityOf('a'), says('b', state))).toBe(isConfirmed);
    expect(confirms(identityOf('a'), says('b', state, B))).toBe(false);
  });

  test('a member starts whoever answers, a void one never', () => {
    const silent = [says('b', 'unreachable'), says('c', 'unreachable')];
    expect(decide(own('a', 'member'), silent, MANUAL)).toEqual({ kind: 'start' });
    expect(decide(own('a', 'recovering'), silent, AUTO)).toEqual({ kind: 'start' });
    const all = own('a', 'void', ['b', 'c']);
    expect(decide(all, [says('b', 'member'), says('c', 'member')], AUTO).kind).toBe('wait');
  });
});

describe('a bootstrap call', () => {
  const request = { clusterId: A, members: MEMBERS };

  test('is open on an empty node and a repeat is done', () => {
    expect(isRequestOpen(first, request, MANUAL)).toBe(true);
    expect(isRequestOpen(own('a', 'armed'), request, MANUAL)).toBe(false);
    expect(isRequestOpen(own('a', 'member'), request, MANUAL)).toBe(false);
  });

  test.each([
    ['another cluster', own('a', 'armed'), { ...request, clusterId: B }, MANUAL, 'CLUSTER_EXISTS'],
    [
      'other members',
      own('a', 'armed'),
      { ...request, members: MEMBERS.slice(1) },
      MANUAL,
      'CLUSTER_EXISTS',
    ],
    ['a void node', { ...own('a', 'void'), identity: null }, request, MANUAL, 'CLUSTER_EXISTS'],
    [
      'another cluster than the settings',
      first,
      request,
      { ...MANUAL, clusterId: B },
      'WRONG_CLUSTER',
    ],
    [
      'a member too few',
      first,
      { ...request, members: MEMBERS.slice(0, 2) },
      MANUAL,
      'INVALID_ARGUMENT',
    ],
    [
      'a member twice',
      first,
      { ...request, members: [...MEMBERS, ...MEMBERS.slice(2)] },
      MANUAL,
      'INVALID_ARGUMENT',
    ],
    [
      'an id twice',
      first,
      { ...request, members: MEMBERS.map((m) => ({ ...m, node: nodeId(1) })) },
      MANUAL,
      'INVALID_ARGUMENT',
    ],
    [
      'the id of nobody',
      first,
      { ...request, members: MEMBERS.map((m, i) => ({ ...m, node: nodeId(i) })) },
      MANUAL,
      'INVALID_ARGUMENT',
    ],
  ])('is refused for %s', (_, ...[view, call, rules, code]) => {
    expect(() => isRequestOpen(view, call, rules)).toThrow(expect.objectContaining({ code }));
  });

  test.each<[PeerAnswer['state'], string | null]>([
    ['empty', null],
    ['armed', null],
    ['unreachable', 'PEER_UNKNOWN'],
    ['waiting', 'PEER_NOT_EMPTY'],
    ['member', 'PEER_NOT_EMPTY'],
    ['recovering', 'PEER_NOT_EMPTY'],
    ['void', 'PEER_NOT_EMPTY'],
  ])('with a peer that is %s', (state, code) => {
    const refusal = refusalOfPeers([says('b', 'empty'), says('c', state)], request);
    expect(refusal?.code ?? null).toBe(code);
    if (code !== null) expect(refusal?.detail).toEqual({ peer: 'c' });
  });

  test('with a peer that is armed for another cluster is refused', () => {
    expect(refusalOfPeers([says('b', 'armed', B)], request)?.code).toBe('PEER_NOT_EMPTY');
  });
});

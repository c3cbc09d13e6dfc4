/**
 * Three nodes in auto mode, every order of their steps. A round of probes is two answers, taken at
 * different moments; the decision follows the second; making the identity durable is a step of its
 * own. A process may crash at each point (it forgets answers, decision and confirmations, not the
 * folder), a node may simply not be scheduled (the slow third), and an answer may fail to come.
 */
import { describe, expect, test } from '@jest/globals';
import { clusterId, nodeId } from '../common/ids.ts';
import {
  type BootstrapRules,
  confirms,
  decide,
  type OwnView,
  type PeerAnswer,
} from './bootstrap-rules.ts';

const NODES = [0, 1, 2] as const;
const NAMES = ['a', 'b', 'c'];
/** One id, and one more for each crash between minting and writing. */
const IDS = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
const MEMBERS = NAMES.map((name, i) => ({ node: nodeId(i + 1), name, address: `${name}:1` }));
const RULES: BootstrapRules = { mode: 'auto', clusterId: null, members: MEMBERS };

interface Node {
  readonly state: 'empty' | 'armed' | 'member';
  readonly id: string;
  readonly isStarted: boolean;
  readonly isWaiting: boolean;
  /** The first answer of the running round. */
  readonly heard: PeerAnswer | null;
  /** Cluster id that is about to become durable. */
  readonly pending: string;
  readonly confirmed: readonly string[];
  readonly wasMember: boolean;
}

interface World {
  readonly nodes: readonly Node[];
  readonly mints: number;
  readonly crashes: number;
  readonly wipes: number;
}

interface Limits {
  readonly crashes: number;
  readonly wipes: number;
}

const BLANK: Node = {
  state: 'empty',
  id: '',
  isStarted: false,
  isWaiting: false,
  heard: null,
  pending: '',
  confirmed: [],
  wasMember: false,
};
const START: World = { nodes: [BLANK, BLANK, BLANK], mints: 0, crashes: 0, wipes: 0 };

const nodeAt = (world: World, at: number): Node => world.nodes[at] ?? BLANK;
const nameAt = (at: number): string => NAMES[at] ?? '';
const change = (world: World, at: number, to: Partial<Node>): World => ({
  ...world,
  nodes: world.nodes.map((node, i) => (i === at ? { ...node, ...to } : node)),
});

const silence = (at: number): PeerAnswer => ({
  name: nameAt(at),
  state: 'unreachable',
  clusterId: '',
  members: [],
});

function answerOf(world: World, at: number): PeerAnswer {
  const { state, id, isWaiting } = nodeAt(world, at);
  return {
    name: nameAt(at),
    state: state === 'empty' && isWaiting ? 'waiting' : state,
    clusterId: id,
    members: state === 'empty' ? [] : MEMBERS,
  };
}

function viewOf(node: Node, at: number, answers: readonly PeerAnswer[]): OwnView {
  const name = nameAt(at);
  if (node.state === 'empty') {
    return { name, state: 'empty', identity: null, confirmed: new Set(node.confirmed) };
  }
  const identity = {
    clusterId: clusterId(node.id),
    node: nodeId(at + 1),
    name,
    members: MEMBERS,
  };
  const added = answers.filter((peer) => confirms(identity, peer)).map((peer) => peer.name);
  return { name, state: node.state, identity, confirmed: new Set([...node.confirmed, ...added]) };
}

/** One more answer; with the second one of a round, the decision. */
function hear(world: World, at: number, answer: PeerAnswer): World {
  const node = nodeAt(world, at);
  if (node.heard === null) return change(world, at, { heard: answer });
  const answers = [node.heard, answer];
  const view = viewOf(node, at, answers);
  const action = decide(view, answers, RULES);
  const next = {
    heard: null,
    confirmed: [...view.confirmed].sort(),
    isWaiting: action.kind === 'waiting',
  };
  if (action.kind === 'start') return change(world, at, { ...next, isStarted: true });
  if (action.kind !== 'arm') return change(world, at, next);
  const pending = action.clusterId ?? IDS[world.mints] ?? '';
  const mints = world.mints + (action.clusterId === null ? 1 : 0);
  return { ...change(world, at, { ...next, pending }), mints };
}

const persist = (world: World, at: number): World =>
  change(world, at, { state: 'armed', id: nodeAt(world, at).pending, pending: '' });

/** What the process itself may do next. */
function ownSteps(world: World, at: number): World[] {
  const node = nodeAt(world, at);
  if (node.pending !== '') return [persist(world, at)];
  if (node.isStarted) return [];
  const open = NODES.filter((peer) => peer !== at && node.heard?.name !== nameAt(peer));
  const answered = open.map((peer) => hear(world, at, answerOf(world, peer)));
  // Silence first and an answer then would decide the same.
  const silent = node.heard === null ? [] : open.map((peer) => hear(world, at, silence(peer)));
  return [...answered, ...silent];
}

/** What may happen to it. */
function accidents(world: World, at: number, limits: Limits): World[] {
  const { state, id } = nodeAt(world, at);
  const found: World[] = [];
  if (world.crashes < limits.crashes) {
    // A member that restarts needs nobody's leave to vote.
    const restarted = { ...BLANK, state, id, isStarted: state === 'member' };
    found.push({ ...change(world, at, restarted), crashes: world.crashes + 1 });
  }
  if (world.wipes < limits.wipes && state === 'member') {
    const wiped = { ...BLANK, wasMember: true };
    found.push({ ...change(world, at, wiped), wipes: world.wipes + 1 });
  }
  return found;
}

/** Elections: candidate and voter both have a term from then on. */
function elections(world: World, at: number): World[] {
  const candidate = nodeAt(world, at);
  return NODES.filter((voter) => {
    const { isStarted, state } = nodeAt(world, voter);
    const isNews = state !== 'member' || candidate.state !== 'member';
    return voter !== at && candidate.isStarted && isStarted && isNews;
  }).map((voter) => change(change(world, at, { state: 'member' }), voter, { state: 'member' }));
}

function explore(limits: Limits, visit: (world: World) => void): number {
  const seen = new Set<string>([JSON.stringify(START)]);
  const todo: World[] = [START];
  for (let world = todo.pop(); world !== undefined; world = todo.pop()) {
    visit(world);
    for (const at of NODES) {
      const steps = [
        ...ownSteps(world, at),
        ...accidents(world, at, limits),
        ...elections(world, at),
      ];
      for (const next of steps) {
        const key = keyOf(next);
        if (next.mints > IDS.length || seen.has(key)) continue;
        seen.add(key);
        todo.push(next);
      }
    }
  }
  return seen.size;
}

/** A state as text; the answers' member lists are all the same and stay out. */
const keyOf = ({ nodes, mints, crashes, wipes }: World): string =>
  nodes
    .map(({ heard, ...node }) =>
      [
        node.state,
        node.id.slice(0, 1),
        node.pending.slice(0, 1),
        node.isStarted,
        node.isWaiting,
        node.wasMember,
        node.confirmed.join(''),
        heard === null ? '' : `${heard.name}${heard.state}${heard.clusterId.slice(0, 1)}`,
      ].join(),
    )
    .concat(`${mints} ${crashes} ${wipes}`)
    .join(' ');

const ROUNDS_MAX = 12;

/** All nodes scheduled in turn, nothing failing any more. */
function settle(from: World): World {
  let world = from;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (world.nodes.every(({ isStarted }) => isStarted)) return world;
    for (const at of NODES) {
      if (nodeAt(world, at).pending !== '') world = persist(world, at);
      else if (!nodeAt(world, at).isStarted) {
        for (const peer of NODES) {
          if (peer !== at) world = hear(world, at, answerOf(world, peer));
        }
      }
    }
  }
  return world;
}

describe('every interleaving of three nodes', () => {
  test('whoever may vote has seen all others armed, in one cluster; in the end all may vote', () => {
    let startedCount = 0;
    const settled = new Set<string>();
    const worldCount = explore({ crashes: 2, wipes: 0 }, (world) => {
      const ids = new Set(world.nodes.map(({ id }) => id));
      if (world.nodes.some(({ isStarted }) => isStarted)) {
        startedCount += 1;
        if (ids.has('')) throw new Error(`votes early: ${JSON.stringify(world)}`);
      }
      ids.delete('');
      if (ids.size > 1) throw new Error(`two clusters: ${JSON.stringify(world)}`);
      const rested = {
        ...world,
        crashes: 0,
        nodes: world.nodes.map((node) => ({ ...node, heard: null })),
      };
      const key = keyOf(rested);
      if (settled.has(key)) return;
      settled.add(key);
      const end = settle(rested);
      if (!end.nodes.every(({ isStarted }) => isStarted)) {
        throw new Error(`stuck: ${JSON.stringify({ world, end })}`);
      }
    });
    expect(startedCount).toBeGreaterThan(100);
    expect(worldCount).toBeGreaterThan(5000);
  });

  test('R27: a member that lost its folder takes no identity again where another has voted', () => {
    let wipedCount = 0;
    explore({ crashes: 0, wipes: 1 }, ({ nodes }) => {
      for (const node of nodes.filter(({ wasMember }) => wasMember)) {
        wipedCount += 1;
        if (node.id !== '' || node.pending !== '') throw new Error(JSON.stringify(nodes));
      }
    });
    expect(wipedCount).toBeGreaterThan(100);
  });
});

/**
 * When an empty coordinator may take an identity, and when one with an identity may vote. Pure: what
 * the own folder holds and what the peers answered in, an action out. Two rules keep a wiped cluster
 * from rising again as an empty one: unreachable is not empty, and whoever votes has seen that every
 * configured peer has an identity of the same cluster.
 */
import { KvError } from '../common/errors.ts';
import type { ClusterId } from '../common/ids.ts';
import type { DirectoryState } from '../consensus/node-folder.ts';
import type { Identity, Member } from '../consensus/transport.ts';

/** `waiting`: an empty node that sees a member; it is to be added under a new id. */
export type NodeState = DirectoryState | 'waiting';

/** A member as a peer names it; a plain number, because it comes from outside. */
interface NamedNode {
  readonly node: number;
  readonly name: string;
}

/** What one peer said about itself just now. */
export interface PeerAnswer {
  readonly name: string;
  readonly state: NodeState | 'unreachable';
  /** Empty where it has none. */
  readonly clusterId: string;
  readonly members: readonly NamedNode[];
}

export interface OwnView {
  readonly name: string;
  readonly state: DirectoryState;
  readonly identity: Identity | null;
  /** Peers that have answered, in this process' life, as `confirms` wants it. */
  readonly confirmed: ReadonlySet<string>;
}

export interface BootstrapRules {
  readonly mode: 'auto' | 'manual';
  /** Given by the settings; null: any. */
  readonly clusterId: ClusterId | null;
  /** The first configuration, the same on all nodes. */
  readonly members: readonly Member[];
}

export type BootstrapAction =
  | { readonly kind: 'wait'; readonly reason: string; readonly peer: string }
  /** Not allowed to take part: the cluster lives elsewhere. */
  | { readonly kind: 'waiting'; readonly peer: string }
  /** Take the identity durably; null: mint a cluster id. */
  | { readonly kind: 'arm'; readonly clusterId: string | null }
  /** This node may vote. */
  | { readonly kind: 'start' };

/** The same names under the same ids; addresses are hints and may differ. */
export const isSameMembers = (a: readonly NamedNode[], b: readonly NamedNode[]): boolean =>
  a.length === b.length &&
  a.every(({ node, name }) => b.some((other) => other.node === node && other.name === name));

/** The peer has a durable identity of the same cluster, so it is not and will not be empty. */
export const confirms = (identity: Identity, answer: PeerAnswer): boolean =>
  isOneOf(answer, ['armed', 'member', 'recovering']) && answer.clusterId === identity.clusterId;

/** What to do next; `answers` holds one answer of every other configured peer. */
export function decide(
  own: OwnView,
  answers: readonly PeerAnswer[],
  rules: BootstrapRules,
): BootstrapAction {
  switch (own.state) {
    case 'member':
    case 'recovering':
      return { kind: 'start' };
    case 'void':
      return wait('the state of this node cannot be trusted', own.name);
    case 'armed':
      return decideArmed(own, answers);
    case 'empty':
      return decideEmpty(own, answers, rules);
  }
}

function decideArmed(own: OwnView, answers: readonly PeerAnswer[]): BootstrapAction {
  const missing = answers.find(({ name }) => !own.confirmed.has(name));
  if (missing === undefined) return { kind: 'start' };
  const isForeign = missing.clusterId !== '' && missing.clusterId !== own.identity?.clusterId;
  if (isForeign) return wait('a peer belongs to another cluster', missing.name);
  return wait('a peer has not answered that it is armed', missing.name);
}

function decideEmpty(
  own: OwnView,
  answers: readonly PeerAnswer[],
  rules: BootstrapRules,
): BootstrapAction {
  const member = answers.find((answer) => isOneOf(answer, ['member', 'recovering', 'void']));
  if (member !== undefined) return { kind: 'waiting', peer: member.name };
  const unsure = answers.find((answer) => isOneOf(answer, ['unreachable', 'waiting']));
  if (unsure !== undefined) return wait('a peer has not answered that it is empty', unsure.name);
  const armed = answers.filter(({ state }) => state === 'armed');
  const clusterId = armed[0]?.clusterId ?? rules.clusterId;
  const odd = armed.find(
    (peer) =>
      peer.clusterId !== (rules.clusterId ?? clusterId) ||
      !isSameMembers(peer.members, rules.members),
  );
  if (odd !== undefined) return wait('a peer is armed for another cluster or members', odd.name);
  if (rules.mode === 'manual') return wait('a call of POST /admin/bootstrap is awaited', own.name);
  if (clusterId !== null) return { kind: 'arm', clusterId };
  const initiator = rules.members.map(({ name }) => name).sort()[0] ?? own.name;
  if (initiator === own.name) return { kind: 'arm', clusterId: null };
  return wait('the first node proposes the cluster id', initiator);
}

/**
 * Whether a bootstrap call must still be carried out here, before peers are asked.
 * @throws KvError `CLUSTER_EXISTS`, `WRONG_CLUSTER`, `INVALID_ARGUMENT`.
 */
export function isRequestOpen(
  own: OwnView,
  request: Pick<Identity, 'clusterId' | 'members'>,
  rules: BootstrapRules,
): boolean {
  const { clusterId, members } = request;
  if (own.identity !== null || own.state !== 'empty') {
    const isSame =
      own.identity?.clusterId === clusterId && isSameMembers(own.identity.members, members);
    if (isSame) return false;
    throw new KvError('CLUSTER_EXISTS', 'this coordinator already belongs to a cluster');
  }
  if (rules.clusterId !== null && rules.clusterId !== clusterId) {
    throw new KvError('WRONG_CLUSTER', 'the settings of this coordinator name another cluster');
  }
  if (!areOurPeers(members, rules)) {
    throw new KvError('INVALID_ARGUMENT', 'the members must be the configured peers, each once');
  }
  return true;
}

function areOurPeers(members: readonly NamedNode[], rules: BootstrapRules): boolean {
  const names = new Set(members.map(({ name }) => name));
  const nodes = new Set(members.map(({ node }) => node));
  const isSound = names.size === members.length && nodes.size === members.length && !nodes.has(0);
  const isWhole = names.size === rules.members.length;
  return isSound && isWhole && rules.members.every(({ name }) => names.has(name));
}

/** Why the peers forbid a bootstrap call, or null. */
export function refusalOfPeers(
  answers: readonly PeerAnswer[],
  request: Pick<Identity, 'clusterId' | 'members'>,
): KvError | null {
  for (const { name: peer, state, clusterId, members } of answers) {
    if (state === 'unreachable') {
      return new KvError('PEER_UNKNOWN', `the peer ${peer} does not answer`, { detail: { peer } });
    }
    const isOurs = clusterId === request.clusterId && isSameMembers(members, request.members);
    if (state !== 'empty' && !(state === 'armed' && isOurs)) {
      return new KvError('PEER_NOT_EMPTY', `the peer ${peer} is ${state}`, { detail: { peer } });
    }
  }
  return null;
}

const isOneOf = ({ state }: PeerAnswer, states: readonly PeerAnswer['state'][]): boolean =>
  states.includes(state);

const wait = (reason: string, peer: string): BootstrapAction => ({ kind: 'wait', reason, peer });

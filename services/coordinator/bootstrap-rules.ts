/**
 * When an empty node may give itself an identity, and when one that has it may vote. Invariant:
 * whoever votes has seen every configured peer armed, so nobody is left who could still found another
 * cluster. Unreachable is not empty.
 */
import type { ClusterId } from '../common/ids.ts';

export type PeerState = 'empty' | 'armed' | 'member' | 'recovering' | 'void' | 'waiting';

/** What a peer answered; null: it did not. */
export interface PeerAnswer {
  readonly state: PeerState;
  /** null while it is empty. */
  readonly clusterId: ClusterId | null;
}

export type BootstrapAction =
  /** Ask again later. */
  | { readonly kind: 'wait' }
  /** This empty node belongs to a cluster that lives without it: it waits to be added. */
  | { readonly kind: 'waiting' }
  /** Become armed with this cluster; null: mint one. */
  | { readonly kind: 'arm'; readonly clusterId: ClusterId | null }
  /** Every peer is armed or more: this node may vote. */
  | { readonly kind: 'start' };

export interface EmptyNode {
  readonly mode: 'auto' | 'manual';
  /** From the settings. */
  readonly clusterId: ClusterId | null;
  /** The first of all names: the one that mints where nobody has a cluster yet. */
  readonly isInitiator: boolean;
}

const LIVES: ReadonlySet<PeerState> = new Set(['member', 'recovering', 'void']);

/** The next step of a node without an identity. */
export function stepOfEmpty(
  node: EmptyNode,
  answers: readonly (PeerAnswer | null)[],
): BootstrapAction {
  const heard = answers.filter((answer) => answer !== null);
  if (heard.some(({ state }) => LIVES.has(state))) return { kind: 'waiting' };
  if (node.mode === 'manual' || heard.length < answers.length) return { kind: 'wait' };
  if (heard.some(({ state }) => state === 'waiting')) return { kind: 'wait' };
  const clusters = new Set(
    heard.flatMap(({ clusterId }) => (clusterId === null ? [] : [clusterId])),
  );
  if (clusters.size > 1) return { kind: 'wait' };
  const [armed] = clusters;
  if (armed !== undefined) {
    const fits = node.clusterId === null || node.clusterId === armed;
    return fits ? { kind: 'arm', clusterId: armed } : { kind: 'wait' };
  }
  if (node.clusterId !== null) return { kind: 'arm', clusterId: node.clusterId };
  return node.isInitiator ? { kind: 'arm', clusterId: null } : { kind: 'wait' };
}

/** Whether a peer's answer shows that it can never found another cluster. */
export const isSettled = (answer: PeerAnswer | null, clusterId: ClusterId): boolean =>
  answer !== null &&
  answer.clusterId === clusterId &&
  (answer.state === 'armed' || LIVES.has(answer.state));

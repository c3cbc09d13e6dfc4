/**
 * Step 8: a cluster is formed exactly once, and only over folders that are known to be empty. Whoever
 * does not answer may hold everything, so an unknown answer always holds.
 */
import { coordinatorAddress } from '../desired/names.ts';
import { namesOf } from './pods.ts';
import type { AdminCall, CoordinatorAnswer, Known, Snapshot } from './types.ts';

export type Bootstrap =
  | { readonly kind: 'done' }
  /** Seen to be formed: to be latched. */
  | { readonly kind: 'latch' }
  | { readonly kind: 'call'; readonly calls: readonly AdminCall[] }
  | {
      readonly kind: 'wait';
      readonly reason: 'WaitingForCoordinators' | 'VolumesNotEmpty';
      readonly message: string;
    };

export function bootstrapOf(s: Snapshot, clusterId: string | null, count: number): Bootstrap {
  if (s.cr.status.bootstrapped) return { kind: 'done' };
  if (isFormed(s)) return { kind: 'latch' };
  const waitFor = (message: string): Bootstrap => ({
    kind: 'wait',
    reason: 'WaitingForCoordinators',
    message,
  });
  if (clusterId === null) return waitFor('the cluster has no id yet');
  const names = namesOf(s, 'coordinator', count);
  const answers = names.map((name) => ({ name, answer: s.coordinators[name] ?? 'unknown' }));
  const silent = answers.filter(({ answer }) => !isOpenTo(answer, clusterId));
  if (silent.length > 0) {
    const said = silent.map(({ name, answer }) => `${name} (${wordOf(answer)})`).join(', ');
    return waitFor(`waiting for coordinators that are empty or armed; not so yet: ${said}`);
  }
  const held = s.cr.status.origin === 'New' ? null : notSurelyEmpty(s);
  if (held !== null) return { kind: 'wait', reason: 'VolumesNotEmpty', message: held };
  const calls = answers.flatMap(({ name, answer }): readonly AdminCall[] =>
    answer !== 'unknown' && answer.state === 'empty'
      ? [{ kind: 'bootstrap', pod: name, clusterId, members: membersOf(s, names) }]
      : [],
  );
  if (calls.length > 0) return { kind: 'call', calls };
  return waitFor('all coordinators are armed; waiting for the first of them to become a member');
}

/** A member has voted, or a disk was registered: something may have been acknowledged. */
function isFormed(s: Snapshot): boolean {
  const answers = Object.values(s.coordinators).filter((answer) => answer !== 'unknown');
  const disks = Object.values(s.volumes).filter((answer) => answer !== 'unknown');
  return (
    s.cluster !== 'unknown' ||
    answers.some(({ state }) => state === 'member' || state === 'recovering') ||
    disks.some(({ disk }) => disk !== 0)
  );
}

const isOpenTo = (answer: Known<CoordinatorAnswer>, clusterId: string): boolean =>
  answer !== 'unknown' &&
  (answer.state === 'empty' || (answer.state === 'armed' && answer.clusterId === clusterId));

const wordOf = (answer: Known<CoordinatorAnswer>): string =>
  answer === 'unknown' ? 'no answer' : answer.state;

/**
 * Adopted claims may hold data: each volume must say itself that it does not. null: all have. A claim that
 * was never bound holds nothing, and there may be no volume to ask.
 */
function notSurelyEmpty(s: Snapshot): string | null {
  const bound = s.claims.filter(({ role, phase }) => role === 'volume' && phase !== 'Pending');
  const pods = new Set(bound.map(({ pod }) => pod));
  const doubtful = [...pods].filter((pod) => (s.volumes[pod] ?? 'unknown') === 'unknown');
  if (doubtful.length === 0) return null;
  return `waiting for volumes to say that they are empty: ${doubtful.sort().join(', ')}`;
}

const membersOf = (s: Snapshot, names: readonly string[]) =>
  names.map((name, ordinal) => ({
    nodeId: ordinal + 1,
    name,
    address: coordinatorAddress(s.cr, ordinal),
  }));

/** Step 9: who of the voters is healthy, and whether the cluster has to be left alone. */
import { findPod, namesOf } from './pods.ts';
import { voterNames } from './replicas.ts';
import type { ClusterAnswer, Snapshot } from './types.ts';

const CONTACT_MS_MAX = 2000;
const LAG_MAX = 1000;
/** So long may the leader be silent before it counts as lost. */
const SILENCE_MS = 10_000;

export type Silence = 'NoLeader' | 'QuorumLost' | 'MetadataLost';

export interface Quorum {
  readonly voters: number;
  /** Votes that decide. */
  readonly majority: number;
  /** Names of healthy voters, as their leader sees them; null while nobody leads. */
  readonly healthy: readonly string[] | null;
  /** Coordinators whose folder is empty although the cluster is formed. */
  readonly dataLost: readonly string[];
  /** Why nobody has led for a while; null: somebody does, or it is too early to say. */
  readonly silence: Silence | null;
}

export function quorumOf(s: Snapshot, count: number): Quorum {
  const voters = voterNames(s)?.length ?? count;
  const majority = Math.floor(voters / 2) + 1;
  const { cluster } = s;
  return {
    voters,
    majority,
    healthy: cluster === 'unknown' ? null : healthyVoters(s, cluster),
    dataLost: s.cr.status.bootstrapped ? emptied(s) : [],
    silence: isSilent(s) ? silenceOf(s, count, majority) : null,
  };
}

function healthyVoters(s: Snapshot, { leader, members }: ClusterAnswer): readonly string[] {
  return members
    .filter(({ voter, state, lag, nodeId, contactMs, name }) => {
      const isHeard =
        nodeId === leader.nodeId || (contactMs !== null && contactMs < CONTACT_MS_MAX);
      const pod = findPod(s, name);
      const isReady = pod?.ready === true && !pod.deleting;
      return voter && state === 'member' && lag < LAG_MAX && isHeard && isReady;
    })
    .map(({ name }) => name);
}

function emptied(s: Snapshot): readonly string[] {
  return Object.entries(s.coordinators)
    .filter(([, answer]) => answer !== 'unknown' && isWithoutData(answer.state))
    .map(([name]) => name)
    .sort();
}

const isWithoutData = (state: string): boolean =>
  state === 'empty' || state === 'waiting' || state === 'void';

/** The first silence is noted in the condition, so a new operator knows how long it has lasted. */
function isSilent({ cluster, cr, nowMs }: Snapshot): boolean {
  if (cluster !== 'unknown' || !cr.status.bootstrapped) return false;
  const before = cr.status.conditions.Available;
  if (before?.status === 'Unknown') return nowMs - before.sinceMs >= SILENCE_MS;
  return before?.status === 'False' && SILENCES.has(before.reason);
}

const SILENCES = new Set<string>(['NoLeader', 'QuorumLost', 'MetadataLost'] satisfies Silence[]);

function silenceOf(s: Snapshot, count: number, majority: number): Silence {
  const answers = namesOf(s, 'coordinator', count).map((name) => s.coordinators[name] ?? 'unknown');
  const states = answers.map((answer) => (answer === 'unknown' ? 'unknown' : answer.state));
  if (states.length > 0 && states.every((state) => isWithoutData(state))) return 'MetadataLost';
  const alive = states.filter((state) => state === 'member' || state === 'recovering');
  return alive.length < majority ? 'QuorumLost' : 'NoLeader';
}

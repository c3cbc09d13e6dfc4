/**
 * Step 3: whose cluster this is. Ids are gathered from everything that can hold one; two different ones
 * mean that data of two clusters is mixed up, and then nothing is created and nothing restarted.
 */
import { hindrances, sentenceOf } from './foreign.ts';
import type { ForeignObject, Snapshot } from './types.ts';

export type Identity =
  | { readonly kind: 'known'; readonly clusterId: string }
  /** To be written before any StatefulSet exists; null: to be minted. */
  | {
      readonly kind: 'unset';
      readonly clusterId: string | null;
      readonly origin: 'New' | 'Adopted';
    }
  | { readonly kind: 'conflict'; readonly ids: readonly string[] }
  | { readonly kind: 'foreign-claim'; readonly claims: readonly string[] }
  | {
      readonly kind: 'waiting';
      readonly objects: readonly string[];
      /** Whether any of it goes by itself; else a person must do something, and it may take long. */
      readonly endsByItself: boolean;
    };

export function identityOf(s: Snapshot): Identity {
  const ids = idsOf(s);
  if (ids.length > 1) return { kind: 'conflict', ids };
  const unlabelled = s.claims.filter(({ clusterId, deleting }) => clusterId === null && !deleting);
  if (unlabelled.length > 0) {
    return { kind: 'foreign-claim', claims: unlabelled.map(({ name }) => name) };
  }
  const { clusterId } = s.cr.status;
  // Claims on their way out belong to a cluster that was deleted: its id must not be taken over.
  const leaving = clusterId === null ? s.claims.filter(({ deleting }) => deleting) : [];
  const claims = leaving.map(({ name }) => passing(`PersistentVolumeClaim/${name}`));
  const objects = [...hindrances(s), ...claims];
  if (objects.length > 0) return waitingFor(objects);
  if (clusterId !== null) return { kind: 'known', clusterId };
  const [found] = ids;
  if (found !== undefined) return { kind: 'unset', clusterId: found, origin: 'Adopted' };
  // Pods without claims that have not said whose they are: an id may still turn up.
  const silent = s.pods.map(({ name }) => passing(`Pod/${name}`));
  if (silent.length > 0) return waitingFor(silent);
  return { kind: 'unset', clusterId: null, origin: 'New' };
}

const passing = (key: string): ForeignObject => ({ key, leaves: true });

const waitingFor = (objects: readonly ForeignObject[]): Identity => ({
  kind: 'waiting',
  objects: objects.map(sentenceOf),
  endsByItself: objects.some(({ leaves }) => leaves),
});

function idsOf(s: Snapshot): readonly string[] {
  const answers = [...Object.values(s.coordinators), ...Object.values(s.volumes), s.cluster];
  const ids = new Set<string>();
  const add = (id: string | null): void => {
    if (id !== null) ids.add(id);
  };
  add(s.cr.status.clusterId);
  for (const { clusterId, deleting } of s.claims) if (!deleting) add(clusterId);
  for (const answer of answers) if (answer !== 'unknown') add(answer.clusterId);
  return [...ids].sort();
}

/** Step 7: claims follow the deletion policy, and what is wrong with one is said, never mended by us. */
import { isClaimLost } from './pods.ts';
import type { Snapshot, Step } from './types.ts';

export interface ClaimsFinding {
  readonly steps: readonly Step[];
  readonly lost: readonly string[];
  /** Volumes that came back empty while keys still refer to their old disk. */
  readonly replacedDisks: readonly string[];
}

export function claimsFinding(s: Snapshot): ClaimsFinding {
  const owned = s.cr.spec.deletionPolicy === 'Delete';
  return {
    steps: s.claims
      .filter((claim) => !claim.deleting && claim.owned !== owned)
      .map(({ name, uid }) => ({ kind: 'own-claim', claim: name, uid, owned })),
    lost: s.claims.filter(isClaimLost).map(({ name }) => name),
    replacedDisks: replacedDisks(s),
  };
}

function replacedDisks({ cluster }: Snapshot): readonly string[] {
  if (cluster === 'unknown') return [];
  const newest = new Map<string, number>();
  for (const { name, disk } of cluster.volumes) {
    newest.set(name, Math.max(disk, newest.get(name) ?? 0));
  }
  return cluster.volumes
    .filter(({ name, disk, refs }) => refs > 0 && disk < (newest.get(name) ?? 0))
    .map(({ name, disk, refs }) => `${name} lost disk ${disk}, to which ${refs} keys refer`);
}

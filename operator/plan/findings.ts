/** All that is read out of a snapshot before anything is decided; each step's part by itself. */
import type { Role } from '../api/names.ts';
import { type Bootstrap, bootstrapOf } from './bootstrap.ts';
import { type BrokenFinding, brokenFinding } from './broken.ts';
import { type ClaimsFinding, claimsFinding } from './claims.ts';
import { type Identity, identityOf } from './identity.ts';
import { NO_OBJECTS, type ObjectsFinding, objectSteps } from './objects.ts';
import { openDisruption } from './open.ts';
import { type Quorum, quorumOf } from './quorum.ts';
import { type Held, heldChanges, replicasOf } from './replicas.ts';
import { type Roll, rollOf } from './roll.ts';
import type { Snapshot } from './types.ts';
import { type ZonesFinding, zonesFinding } from './zones.ts';

export interface Findings {
  readonly identity: Identity;
  readonly replicas: Readonly<Record<Role, number>>;
  readonly objects: ObjectsFinding;
  readonly held: readonly Held[];
  readonly claims: ClaimsFinding;
  readonly bootstrap: Bootstrap;
  readonly quorum: Quorum;
  readonly broken: BrokenFinding;
  /** What is still on its way; null: nothing. */
  readonly open: string | null;
  readonly roll: Roll;
  readonly zones: ZonesFinding;
}

export function findingsOf(s: Snapshot): Findings {
  const identity = identityOf(s);
  const replicas = replicasOf(s);
  const clusterId = identity.kind === 'known' ? identity.clusterId : null;
  const quorum = quorumOf(s, replicas.coordinator);
  const broken = brokenFinding(s, quorum.healthy);
  return {
    identity,
    replicas,
    objects: clusterId === null ? NO_OBJECTS : objectSteps(s, clusterId, replicas),
    held: heldChanges(s, replicas),
    claims: claimsFinding(s),
    bootstrap: bootstrapOf(s, clusterId, replicas.coordinator),
    quorum,
    broken,
    open: openDisruption(s),
    roll: rollOf(s, quorum, broken),
    zones: zonesFinding(s),
  };
}

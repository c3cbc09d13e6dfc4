/** What is told of a step once it is done. */

import { fieldOf } from '../kube/json.ts';
import type { PlanEvent, Snapshot, Step } from '../plan/types.ts';

/** null: nothing worth telling. */
export function eventOfStep(s: Snapshot, step: Step): PlanEvent | null {
  if (step.kind === 'recreate') {
    const note = `${step.key} has a field that cannot change: it is made anew, its pods stay`;
    return { type: 'Normal', reason: 'StatefulSetRecreated', note };
  }
  if (step.kind !== 'apply') return null;
  const memo = s.applied[step.key];
  if (s.live[step.key] === undefined) {
    if (memo === undefined || memo.refused !== undefined) return null;
    return { type: 'Normal', reason: 'ObjectRecreated', note: `${step.key} was gone and is back` };
  }
  return scaledOut(s, step);
}

function scaledOut(
  s: Snapshot,
  { key, manifest }: Extract<Step, { kind: 'apply' }>,
): PlanEvent | null {
  const role = key === `StatefulSet/${s.cr.name}-volume` ? 'volume' : 'coordinator';
  const before = s.sts[role]?.replicas;
  if (manifest.kind !== 'StatefulSet' || before === undefined) return null;
  const after = Number(fieldOf(manifest, 'spec', 'replicas'));
  if (after <= before) return null;
  return { type: 'Normal', reason: 'ScaledOut', note: `${key}: ${before} to ${after} replicas` };
}

/**
 * Steps 4 and 5: which objects are applied. Never gated by health, so a corrected spec always gets
 * through. An apply is spared when the last one had the same content and nobody has touched the object
 * since, or what was touched is none of ours.
 */
import type { Role } from '../api/names.ts';
import { buildDesired } from '../desired/build.ts';
import { contentHash, holds, type Manifest, objectKey } from '../desired/manifest.ts';
import { leftOut } from './foreign.ts';
import type { Snapshot, Step } from './types.ts';

/** A refused content is offered again after this long: the server's mind may change (quota, policy). */
const REFUSED_AGAIN_MS = 30_000;

type ObjectStep = Exclude<Step, { kind: 'own-claim' }>;

export interface ObjectsFinding {
  readonly steps: readonly ObjectStep[];
  /** Keys of those whose step changes something: an operator without memory applies all of them once. */
  readonly changing: readonly string[];
  /** What the server refuses, or somebody else has the name of, a sentence each. */
  readonly refused: readonly string[];
  /** Parts of `podTemplate` that are not allowed. */
  readonly overlayProblems: readonly string[];
}

export const NO_OBJECTS: ObjectsFinding = {
  steps: [],
  changing: [],
  refused: [],
  overlayProblems: [],
};

export function objectSteps(
  s: Snapshot,
  clusterId: string,
  replicas: Readonly<Record<Role, number>>,
): ObjectsFinding {
  const { name, namespace, uid, spec } = s.cr;
  const desired = buildDesired({
    name,
    namespace,
    uid,
    spec,
    clusterId,
    replicas,
    noted: { coordinator: s.sts.coordinator?.noted ?? null, volume: s.sts.volume?.noted ?? null },
    adminNamespaces: s.op.adminNamespaces,
    kinds: s.op.kinds,
  });
  const judged = desired.manifests.map((manifest) => judge(s, manifest));
  const removed = desired.unwanted.flatMap((key): readonly ObjectStep[] => {
    const live = s.live[key];
    return live === undefined ? [] : [{ kind: 'delete', key, uid: live.uid }];
  });
  const steps = [...judged.flatMap(({ step }) => (step === null ? [] : [step])), ...removed];
  return {
    steps,
    changing: steps.filter((step) => changes(s, step)).map(({ key }) => key),
    refused: judged.flatMap(({ refusal }) => (refusal === null ? [] : [refusal])),
    overlayProblems: Object.values(desired.rejected).flat(),
  };
}

function changes(s: Snapshot, step: ObjectStep): boolean {
  if (step.kind !== 'apply' || s.applied[step.key] !== undefined) return true;
  return !holds(s.live[step.key]?.content, step.manifest);
}

interface Judged {
  readonly step: ObjectStep | null;
  readonly refusal: string | null;
}

function judge(s: Snapshot, manifest: Manifest): Judged {
  const key = objectKey(manifest);
  const taken = leftOut(s, key);
  if (taken !== null) return { step: null, refusal: taken };
  const hash = contentHash(manifest);
  const live = s.live[key];
  const memo = s.applied[key];
  const apply = { kind: 'apply', key, manifest, hash } as const;
  if (memo?.hash !== hash) return { step: apply, refusal: null };
  if (memo.refused !== undefined) {
    const { immutable, message, atMs } = memo.refused;
    if (immutable && live !== undefined) {
      return { step: { kind: 'recreate', key, uid: live.uid }, refusal: null };
    }
    // Gone by now, so what could not change is in nobody's way.
    if (immutable) return { step: apply, refusal: null };
    const isDue = s.nowMs - atMs >= REFUSED_AGAIN_MS;
    return { step: isDue ? apply : null, refusal: `${key}: ${message}` };
  }
  const isThere = live !== undefined && (live.rv === memo.rv || holds(live.content, manifest));
  return { step: isThere ? null : apply, refusal: null };
}

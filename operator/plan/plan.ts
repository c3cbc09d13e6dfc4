/**
 * A snapshot in, a plan out; nothing else is looked at and nothing is remembered, so equal snapshots
 * give equal plans. The order of the steps is the safety: what ends a pass (deletion, suspension, a
 * doubtful identity) comes before everything that acts, applies come before every gate, a broken pod
 * before the healthy, and at most one thing that works is disturbed.
 */
import { blockOf } from './change-conditions.ts';
import { eventsOf } from './events.ts';
import { type Findings, findingsOf } from './findings.ts';
import { statusOf } from './status.ts';
import type { ClusterAnswer, IdentityIntent, Plan, Snapshot } from './types.ts';

const NOW_MS = 0;
const BOOTSTRAPPING_MS = 1000;
const OPEN_MS = 2000;
const BLOCKED_MS = 10_000;
/** The store mends itself without an event that would call for a look. */
const HEALING_MS = 10_000;
/** A roll goes on as soon as it has. */
const ROLL_HEALING_MS = 3000;
const DEGRADED_MS = 60_000;
const AT_REST_MS = 300_000;

export function plan(s: Snapshot): Plan {
  const f = findingsOf(s);
  const status = statusOf(s, f);
  const idle: Plan = {
    applies: [],
    calls: [],
    broken: null,
    disruptive: null,
    identity: null,
    status,
    events: [],
    requeueMs: AT_REST_MS,
  };
  if (s.cr.deleting || s.cr.spec.maintenance.suspended) return idle;
  const events = eventsOf(s, f, status);
  if (f.identity.kind !== 'known') return { ...idle, events, ...identityStop(s, f.identity) };
  const isFrozen = f.quorum.silence !== null;
  const acts = decide(f, isFrozen);
  return {
    ...idle,
    applies: [...f.objects.steps, ...f.claims.steps],
    calls: [...(f.bootstrap.kind === 'call' ? f.bootstrap.calls : []), ...f.zones.calls],
    broken: f.broken.delete,
    disruptive: acts,
    identity: f.bootstrap.kind === 'latch' ? latch(s, f.identity.clusterId) : null,
    events:
      acts !== null && f.roll.interrupts
        ? [...events, interruption(acts.kind === 'evict' ? acts.pod : acts.from)]
        : events,
    requeueMs: requeue(s, f, isFrozen),
  };
}

function identityStop(
  s: Snapshot,
  identity: Exclude<Findings['identity'], { kind: 'known' }>,
): Pick<Plan, 'requeueMs'> & Partial<Plan> {
  if (identity.kind === 'waiting') {
    // A person may take long, and each look asks the server itself for all that the caches lack.
    return { requeueMs: identity.endsByItself ? OPEN_MS : BLOCKED_MS };
  }
  if (identity.kind !== 'unset') return { requeueMs: DEGRADED_MS };
  const { clusterId, origin } = identity;
  return {
    identity: { clusterId, origin, bootstrapped: s.cr.status.bootstrapped },
    requeueMs: NOW_MS,
  };
}

const latch = ({ cr: { status } }: Snapshot, clusterId: string): IdentityIntent => ({
  clusterId,
  origin: status.origin ?? 'Adopted',
  bootstrapped: true,
});

/** Nothing is disturbed under a freeze, before the cluster is formed, or beside another change. */
function decide(f: Findings, isFrozen: boolean): Plan['disruptive'] {
  const isFormed = f.bootstrap.kind === 'done';
  const isBusy = isFrozen || !isFormed || f.broken.delete !== null || f.open !== null;
  // What is outdated is about to change.
  const isChanging = f.objects.steps.some(({ key }) => key.startsWith('StatefulSet/'));
  return isBusy || isChanging ? null : f.roll.action;
}

const interruption = (pod: string): Plan['events'][number] => ({
  type: 'Warning',
  reason: 'RestartInterruptsService',
  note: `${pod} is restarted, and while it is away the cluster cannot do without it`,
});

function requeue(s: Snapshot, f: Findings, isFrozen: boolean): number {
  const { outdated } = f.roll;
  if (f.objects.steps.length > 0 || f.bootstrap.kind !== 'done') return BOOTSTRAPPING_MS;
  if (isFrozen) return BLOCKED_MS;
  const block = blockOf(s, f);
  if (block !== null) return block.reason === 'UnderReplicated' ? ROLL_HEALING_MS : BLOCKED_MS;
  if (f.open !== null || f.broken.delete !== null || s.cluster === 'unknown') return OPEN_MS;
  if (outdated.coordinator + outdated.volume > 0) return OPEN_MS;
  if (isHealing(f, s.cluster)) return HEALING_MS;
  return waitsForSomebody(f) ? DEGRADED_MS : AT_REST_MS;
}

const isHealing = ({ quorum }: Findings, { data }: ClusterAnswer): boolean =>
  data.underReplicated > 0 || (quorum.healthy ?? []).length < quorum.voters;

/** What only a person, or the server's change of mind, can end. */
const waitsForSomebody = ({ broken, claims, held, objects, zones }: Findings): boolean =>
  [
    broken.pods,
    claims.lost,
    claims.replacedDisks,
    held,
    objects.refused,
    objects.overlayProblems,
    zones.unknown,
  ].some(({ length }) => length > 0);

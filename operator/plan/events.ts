/** What is told once, when it becomes so: events follow from how conditions differ from those before. */
import type { Findings } from './findings.ts';
import type { PlanEvent, Snapshot, StatusIntent, TimedCondition } from './types.ts';

/** Conditions whose turning is a warning; the reason is the event's, unless another is given. */
const WARNINGS: readonly {
  readonly type: TimedCondition['type'];
  readonly status: string;
  readonly reasons: readonly string[];
  readonly event?: string;
}[] = [
  { type: 'RollBlocked', status: 'True', reasons: [], event: 'RollBlocked' },
  { type: 'ChangeHeld', status: 'True', reasons: [], event: 'ChangeHeld' },
  { type: 'Available', status: 'False', reasons: ['QuorumLost', 'MetadataLost'] },
  { type: 'Degraded', status: 'True', reasons: ['MemberDataLost', 'ClaimLost', 'DataLost'] },
  {
    type: 'Progressing',
    status: 'False',
    reasons: ['ApplyRejected', 'OverlayRejected', 'WaitingForOldObjects'],
  },
  { type: 'Bootstrapped', status: 'False', reasons: ['ClusterIDConflict', 'ForeignClaim'] },
];

export function eventsOf(s: Snapshot, f: Findings, status: StatusIntent): readonly PlanEvent[] {
  return [
    ...status.conditions.flatMap((condition) => turned(s, condition)),
    ...rollEvents(s, status),
    ...(f.bootstrap.kind === 'latch'
      ? [{ type: 'Normal', reason: 'Bootstrapped', note: 'the cluster is formed' } as const]
      : []),
    ...(f.zones.unknown.length > 0
      ? [
          {
            type: 'Warning',
            reason: 'ZoneUnknown',
            note: `no zone is known of nodes ${f.zones.unknown.join(', ')}`,
          } as const,
        ]
      : []),
  ];
}

function turned(s: Snapshot, condition: TimedCondition): readonly PlanEvent[] {
  const { type, status, reason, message } = condition;
  const before = s.cr.status.conditions[type];
  if (before?.status === status && before.reason === reason) return [];
  return WARNINGS.filter(
    (warning) =>
      warning.type === type &&
      warning.status === status &&
      (warning.reasons.length === 0 || warning.reasons.includes(reason)),
  ).map(({ event }) => ({ type: 'Warning', reason: event ?? reason, note: message }));
}

const isRolling = (reason: string | undefined): boolean =>
  reason === 'RollingVolumes' || reason === 'RollingCoordinators';

function rollEvents(s: Snapshot, { conditions }: StatusIntent): readonly PlanEvent[] {
  const before = s.cr.status.conditions.Progressing?.reason;
  const after = conditions.find(({ type }) => type === 'Progressing');
  if (after === undefined || isRolling(before) === isRolling(after.reason)) return [];
  if (isRolling(after.reason)) {
    return [{ type: 'Normal', reason: 'RollStarted', note: after.message }];
  }
  if (after.reason !== 'Settled') return [];
  return [{ type: 'Normal', reason: 'RollFinished', note: 'every pod has the newest template' }];
}

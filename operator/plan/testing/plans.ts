/** Short ways to ask a plan, and to give a snapshot another status. */
import type { Plan, Snapshot } from '../types.ts';

/** A condition as `True BrokenPod`. */
export const conditionOf = (p: Plan, type: string): string => {
  const { status, reason } = p.status.conditions.find((condition) => condition.type === type)!;
  return `${status} ${reason}`;
};

export const reasonsOf = (p: Plan): readonly string[] => p.events.map(({ reason }) => reason);

export const withStatus = (s: Snapshot, change: Partial<Snapshot['cr']['status']>): Snapshot => ({
  ...s,
  cr: { ...s.cr, status: { ...s.cr.status, ...change } },
});
export const withCondition = (
  s: Snapshot,
  type: string,
  [status, reason, sinceMs]: readonly [string, string, number],
): Snapshot =>
  withStatus(s, {
    conditions: { ...s.cr.status.conditions, [type]: { status, reason, sinceMs } },
  });

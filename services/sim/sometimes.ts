/**
 * Things that must come about now and then: a counter that never rises in a long run says that the
 * simulator has stopped to test what its name says.
 */

/** All counters that a long run within the promises must have seen. */
export const SOMETIMES = [
  'leader changed',
  'leadership transferred',
  'snapshot sent',
  'snapshot installed',
  'log damaged',
  'recovering state entered',
  'recovering state left',
  'metadata rebuilt',
  'torn tail cut',
  'damage of a volume found',
  'volume registered again',
  'disk replaced',
  'disk reconciled',
  'value kept with its key',
  'compaction moved a record',
  'repair moved a copy',
  'replaced copy was dropped',
  'reconcile found a copy missing',
  'key was thin',
  'fence passed an undecided birth',
  'answer KEEP',
  'answer DROP',
  'answer LATER',
  'write refused: NO_REPLICAS',
  'write refused: too few volumes',
  'no leader was known',
  'condition failed',
  'idempotent retry was answered by the first',
  'write answered unknown',
  'unknown write was applied',
  'unknown write was not applied',
  'client was gone in the middle of a body',
  'read failed over to another copy',
  'read of a value of many chunks',
  'stale read',
  'listing of several pages',
  'transaction of several keys',
  'process ended by itself',
  'process started again',
  'connection lost under a call',
] as const;

export type Sometimes = (typeof SOMETIMES)[number];

export class SometimesCounters {
  readonly counts = new Map<Sometimes, number>();

  note(name: Sometimes, count = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }

  /** Counts `name` where the condition holds. */
  sometimes(condition: boolean, name: Sometimes): void {
    if (condition) this.note(name);
  }
}

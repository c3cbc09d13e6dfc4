/**
 * Notices what has come about in a run, by what production says of itself: log lines, counters and applied
 * commands. Counts only; judges nothing.
 */
import type { LogFields } from '../telemetry/logger.ts';
import type { AppliedEvent } from './invariants.ts';
import type { Sometimes, SometimesCounters } from './sometimes.ts';

/** What a constant phrase of the log stands for. */
const PHRASES: Readonly<Record<string, Sometimes>> = {
  'snapshot sent': 'snapshot sent',
  'snapshot installed': 'snapshot installed',
  'raft log is damaged': 'log damaged',
  'metadata cannot be trusted and is rebuilt': 'metadata rebuilt',
  'damage on disk: quarantined': 'damage of a volume found',
  'disk is checked': 'disk reconciled',
  compacted: 'compaction moved a record',
};

/** What a counter of the metrics stands for. */
const METRICS: Readonly<Record<string, Sometimes>> = {
  minikv_values_inlined_total: 'value kept with its key',
  minikv_copies_repaired_total: 'repair moved a copy',
  minikv_copies_reclaimed_total: 'replaced copy was dropped',
  minikv_copies_missing_total: 'reconcile found a copy missing',
  minikv_read_failovers_total: 'read failed over to another copy',
};

const ANSWERS: Readonly<Record<string, Sometimes>> = {
  KEEP: 'answer KEEP',
  DROP: 'answer DROP',
  LATER: 'answer LATER',
};

export class Observer {
  readonly #counters: SometimesCounters;

  constructor(counters: SometimesCounters) {
    this.#counters = counters;
  }

  logged(message: string, fields: LogFields): void {
    const name = PHRASES[message];
    if (name !== undefined) this.#counters.note(name);
    if (message === 'volume recovered') {
      this.#counters.sometimes(Number(fields['tornBytes'] ?? 0) > 0, 'torn tail cut');
    }
    if (message === 'question answered') {
      const answer = ANSWERS[String(fields['verdict'])];
      if (answer !== undefined) this.#counters.note(answer);
    }
  }

  counted(metric: string, count: number): void {
    const name = METRICS[metric];
    if (name !== undefined) this.#counters.note(name, count);
  }

  applied({ member, result }: AppliedEvent): void {
    const { counters } = member.metadata;
    this.#counters.sometimes(counters.underReplicated > 0, 'key was thin');
    if (result.kind !== 'registered' || result.result.kind !== 'accepted') return;
    const { disk } = result.result;
    const record = member.metadata.disk(disk);
    this.#counters.sometimes((record?.boots ?? 0) > 1, 'volume registered again');
    const others = member.metadata.disks().filter(({ volume }) => volume === record?.volume);
    this.#counters.sometimes(others.length > 1, 'disk replaced');
  }
}

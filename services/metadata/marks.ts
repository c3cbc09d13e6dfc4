/**
 * Marks, pins and the cluster record. Marks only rise, whatever a command asks: forget stays at or
 * below the fence, reclaim at or below every pin, and no mark passes the command's own index.
 */
import { type LogIndex, logIndex } from '../common/ids.ts';
import type { Advance, InitCluster } from './commands.ts';
import { PINS_MAX, SWEEP_PER_ADVANCE_MAX, TIME_STEP_MS_MAX } from './limits.ts';
import type { SmallState } from './small-state.ts';
import type { State } from './state.ts';

export function applyAdvance(state: State, index: LogIndex, command: Advance): void {
  const { small, outcomes } = state;
  const { marks } = small;
  const fence = raised(marks.fence, command.fence, index);
  small.marks = {
    fence,
    reclaim: raised(marks.reclaim, command.reclaim, Math.min(index, small.pinnedAt())),
    forget: raised(marks.forget, command.forget, fence),
    timeMs: laterTime(marks.timeMs, command.timeMs),
  };
  outcomes.sweep(small.marks, SWEEP_PER_ADVANCE_MAX);
}

/** `present`, or as far towards `wished` as `limit` allows. */
const raised = (present: LogIndex, wished: LogIndex, limit: number): LogIndex =>
  logIndex(Math.max(present, Math.min(wished, limit)));

/** The first time is taken as it is; later ones may not jump. */
function laterTime(presentMs: number, wishedMs: number): number {
  if (presentMs === 0) return wishedMs;
  return Math.max(presentMs, Math.min(wishedMs, presentMs + TIME_STEP_MS_MAX));
}

/** A pin that stands keeps its index: renewing it is no command's affair. */
export function applyPin(small: SmallState, index: LogIndex, id: string): void {
  if (small.pins.has(id) || small.pins.size >= PINS_MAX) return;
  small.pin(id, index);
}

export function applyInitCluster(small: SmallState, command: InitCluster): void {
  if (small.cluster.clusterId !== '') return;
  const { clusterId, members, redirectKey } = command;
  small.cluster = { ...small.cluster, clusterId, members, redirectKey };
}

export function applyOperatorEpoch(small: SmallState, epoch: number): void {
  if (epoch > small.cluster.operatorEpoch) {
    small.cluster = { ...small.cluster, operatorEpoch: epoch };
  }
}

/**
 * Whether a small history has an order, by trying all of them: slow, plain, and made without anything
 * of the checker that it is to judge.
 */
import { type Access, accessesOf, type Condition, type Operation } from '../sim/history.ts';

export function hasOrderByForce(history: readonly Operation[]): boolean {
  const told = history.filter(({ outcome, isStale }) => outcome !== 'failed' && isStale !== true);
  return canEnd(told, new Map());
}

function canEnd(left: readonly Operation[], state: ReadonlyMap<string, string>): boolean {
  if (left.every(({ outcome }) => outcome === 'unknown')) return true;
  return left.some((operation) => {
    const others = left.filter((other) => other !== operation);
    const comesLater = others.some(
      ({ endMs, outcome }) => outcome !== 'unknown' && endMs < operation.startMs,
    );
    if (comesLater) return false;
    const after = resultOf(operation, state);
    return after !== null && canEnd(others, after);
  });
}

/** The state after an operation; null: it would have answered otherwise. */
function resultOf(
  operation: Operation,
  state: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> | null {
  const { outcome, failedOp } = operation;
  const accesses = accessesOf(operation);
  const firstFailed = accesses.findIndex(
    ({ key, condition }) => !isTrue(condition ?? null, state.get(key)),
  );
  if (outcome === 'refused') {
    const isAsTold = firstFailed >= 0 && (failedOp ?? firstFailed) === firstFailed;
    return isAsTold ? state : null;
  }
  if (firstFailed >= 0) return outcome === 'unknown' ? state : null;
  if (outcome === 'ok' && !accesses.every((access) => isAsTold(access, state))) return null;
  const after = new Map(state);
  for (const { key, kind, value } of accesses) {
    if (kind !== 'write') continue;
    if (value === null) after.delete(key);
    else after.set(key, value);
  }
  return after;
}

function isAsTold(
  { key, kind, value, found }: Access,
  state: ReadonlyMap<string, string>,
): boolean {
  if (kind === 'read') return (state.get(key) ?? null) === value;
  return found === undefined || found === state.has(key);
}

function isTrue(condition: Condition | null, held: string | undefined): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case 'exists':
      return held !== undefined;
    case 'absent':
      return held === undefined;
    case 'match':
      return held !== undefined && condition.values.includes(held);
    case 'none-match':
      return held === undefined || !condition.values.includes(held);
  }
}

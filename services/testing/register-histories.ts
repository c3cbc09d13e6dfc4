/**
 * Histories of clients of a store that is right by construction: each operation takes effect at one
 * instant within its time, undecided ones also later or never. Changed at random they become wrong,
 * or not: that is for a judge to say.
 */
import type { Random } from '../common/random.ts';
import { type Access, type Condition, type Operation } from '../sim/history.ts';

export interface HistoryOptions {
  readonly operations: number;
  readonly keys: number;
  readonly clients: number;
  /** Of each 100: calls whose outcome stays unknown, conditional writes, transactions of two keys. */
  readonly unknown: number;
  readonly conditional: number;
  readonly transactions: number;
}

interface Plan {
  readonly startMs: number;
  readonly endMs: number;
  readonly client: string;
  readonly outcome: 'ok' | 'unknown';
  readonly accesses: readonly Access[];
  /** When it takes effect; infinite: never. */
  readonly effectMs: number;
}

/** A history that has an order, with the Raft index of each answer. */
export function registerHistory(random: Random, options: HistoryOptions): readonly Operation[] {
  const plans = plansOf(random, options).toSorted((a, b) => a.effectMs - b.effectMs);
  const state = new Map<string, { readonly value: string; readonly version: number }>();
  let index = 0;
  return plans.map((plan) => {
    const { effectMs, accesses, outcome, ...call } = plan;
    const failedOp = accesses.findIndex(
      ({ key, condition }) => !isTrue(condition ?? null, state.get(key)?.value),
    );
    const seen = accesses.map((access) => answer(access, state));
    const hasEffect = effectMs !== Number.POSITIVE_INFINITY;
    if (hasEffect && accesses.some(({ kind }) => kind !== 'read')) index += 1;
    if (hasEffect && failedOp < 0) {
      for (const { key, kind, value } of accesses) {
        if (kind !== 'write') continue;
        if (value === null) state.delete(key);
        else state.set(key, { value, version: index });
      }
    }
    if (outcome === 'unknown') return joined(call, accesses, { outcome });
    if (failedOp >= 0)
      return joined(call, accesses, { outcome: 'refused', failedOp, raftIndex: index });
    return joined(call, seen, { outcome, raftIndex: index });
  });
}

/** One thing that a broken store, or a client's broken clock, might have made of a history. */
export function mutated(history: readonly Operation[], random: Random): readonly Operation[] {
  const place = random.below(history.length);
  const other = history[random.below(history.length)];
  return history.flatMap((operation, i): Operation | readonly Operation[] => {
    if (i !== place || other === undefined) return operation;
    const shiftMs = random.below(40) - 20;
    switch (random.below(6)) {
      case 0:
        return { ...operation, value: other.value };
      case 1:
        return { ...operation, outcome: operation.kind === 'write' ? 'failed' : operation.outcome };
      case 2:
        return {
          ...operation,
          startMs: operation.startMs + shiftMs,
          endMs: operation.endMs + shiftMs,
        };
      case 3:
        return { ...operation, endMs: operation.startMs };
      case 4:
        return { ...operation, outcome: operation.outcome === 'unknown' ? 'ok' : 'unknown' };
      default:
        return operation.found === undefined ? [] : { ...operation, found: !operation.found };
    }
  });
}

function plansOf(random: Random, options: HistoryOptions): readonly Plan[] {
  const free = Array.from({ length: options.clients }, () => 0);
  return Array.from({ length: options.operations }, (_, i) => {
    const client = random.below(options.clients);
    const startMs = (free[client] ?? 0) + random.below(10);
    const endMs = startMs + 1 + random.below(30);
    free[client] = endMs + 1;
    const isUnknown = random.below(100) < options.unknown;
    // An undecided one takes effect in its time, at any time after, or never.
    const lateMs = [random.below(30), random.below(400), Number.POSITIVE_INFINITY][random.below(3)];
    return {
      startMs,
      endMs,
      client: `c${client}`,
      outcome: isUnknown ? 'unknown' : 'ok',
      accesses: accessesFor(random, options, `v${i}`),
      effectMs: isUnknown
        ? startMs + (lateMs ?? 0)
        : startMs + (endMs - startMs) * (random.below(1_000) / 1_000),
    };
  });
}

function accessesFor(
  random: Random,
  { keys, conditional, transactions }: HistoryOptions,
  name: string,
): readonly Access[] {
  const first = random.below(keys);
  const second = (first + 1 + random.below(Math.max(1, keys - 1))) % keys;
  const isTransaction = second !== first && random.below(100) < transactions;
  const dice = random.below(10);
  const key = `k${first}`;
  if (!isTransaction && dice < 5) return [{ key, kind: 'read', value: null }];
  return (isTransaction ? [first, second] : [first]).map((slot, i): Access => {
    const condition = random.below(100) < conditional ? conditionOf(random, name) : null;
    if (i === 1 && dice < 3) return { key: `k${slot}`, kind: 'check', value: null, condition };
    const value = random.below(10) < 2 ? null : `${name}${i === 0 ? '' : 'b'}`;
    return { key: `k${slot}`, kind: 'write', value, condition };
  });
}

/** Values that a recent operation may have written. */
function conditionOf(random: Random, name: string): Condition {
  const turn = Number(name.slice(1));
  const values = [`v${Math.max(0, turn - 1 - random.below(4))}`];
  switch (random.below(4)) {
    case 0:
      return { kind: 'absent' };
    case 1:
      return { kind: 'exists' };
    case 2:
      return { kind: 'match', values };
    default:
      return { kind: 'none-match', values };
  }
}

type State = ReadonlyMap<string, { readonly value: string; readonly version: number }>;

function answer(access: Access, state: State): Access {
  const held = state.get(access.key);
  if (access.kind === 'write') return { ...access, found: held !== undefined };
  if (access.kind === 'check') return access;
  return { ...access, value: held?.value ?? null, version: held?.version };
}

function joined(
  call: Pick<Operation, 'startMs' | 'endMs' | 'client'>,
  accesses: readonly Access[],
  end: Pick<Operation, 'outcome' | 'failedOp' | 'raftIndex'>,
): Operation {
  const [first, ...together] = accesses;
  if (first === undefined) throw new Error('an operation without an access');
  return { ...first, ...call, ...end, ...(together.length === 0 ? {} : { together }) };
}

function isTrue(condition: Condition | null, held: string | undefined): boolean {
  if (condition === null) return true;
  if (condition.kind === 'exists') return held !== undefined;
  if (condition.kind === 'absent') return held === undefined;
  const isListed = held !== undefined && condition.values.includes(held);
  return condition.kind === 'match' ? isListed : !isListed;
}

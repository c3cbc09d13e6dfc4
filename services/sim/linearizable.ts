/**
 * Judges a history: is there an order of all operations, each within its own time, in which every
 * answer is true? Keys are registers. Keys that no transaction joins are judged one by one
 * (linearizability is local); keys that transactions join are judged as one object.
 */
import { type Access, accessesOf, type Operation, told } from './history.ts';
import { shrink } from './history-shrink.ts';
import { type OrderProblem, orderProblem } from './order-problem.ts';
import { type Furthest, searchOrder } from './order-search.ts';

export interface JudgeOptions {
  /** Steps of the search for all keys together, so that the answer never depends on the machine. */
  readonly stepsMax?: number;
}

const STEPS_MAX = 200_000;
/** A report is made smaller at most this far: what remains is true, if longer. */
const SHRINK_STEPS_MAX = 100_000;

/**
 * A sentence with the operations that have no order, for each key, or group of keys, where there are
 * such; all keys begin absent. What cannot be judged within the steps is such a sentence too: no pass.
 */
export function violationsOf(
  history: readonly Operation[],
  { stepsMax = STEPS_MAX }: JudgeOptions = {},
): readonly string[] {
  return groupsOf(history).flatMap((operations) => {
    const joined = operations.some(({ together }) => together !== undefined);
    if (!joined) return judged(operations, stepsMax);
    // What is wrong with one key alone is found sooner, and told in fewer words.
    const single = groupsOf(alone(operations)).flatMap((part) => judged(part, stepsMax));
    return single.length > 0 ? single : judged(operations, stepsMax);
  });
}

function judged(operations: readonly Operation[], stepsMax: number): readonly string[] {
  const answer = searchOrder(orderProblem(operations), stepsMax);
  if (answer.kind === 'order') return [];
  if (answer.kind === 'no-order') return [report(operations)];
  const names = namesOf(operations).join(', ');
  const steps = String(answer.steps);
  return [`${names} could not be judged: ${operations.length} operations, ${steps} steps used up`];
}

/** What the operations of several keys are to each key of its own: less than they are together. */
function alone(operations: readonly Operation[]): readonly Operation[] {
  return operations.flatMap((operation): readonly Operation[] => {
    const { together, failedOp, ...rest } = operation;
    if (together === undefined) return [operation];
    const accesses = accessesOf(operation).map((access) => ({
      ...calledAs(rest),
      ...pick(access),
    }));
    if (operation.outcome !== 'refused') return accesses;
    // Conditions before the one that did not hold did hold; of the others nothing is known.
    return accesses
      .slice(0, (failedOp ?? -1) + 1)
      .map((access, place) =>
        place === failedOp ? access : { ...access, kind: 'check', outcome: 'ok' },
      );
  });
}

const pick = ({ key, kind, value, condition, found, version }: Access): Access => ({
  key,
  kind,
  value,
  condition,
  found,
  version,
});

const calledAs = ({ startMs, endMs, outcome, client, raftIndex }: Operation) => ({
  startMs,
  endMs,
  outcome,
  client,
  raftIndex,
});

/** Operations by groups of keys that transactions join. */
function groupsOf(history: readonly Operation[]): readonly (readonly Operation[])[] {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    let root = key;
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) root = up;
    if (root !== key) parents.set(key, root);
    return root;
  };
  for (const operation of history) {
    for (const { key } of operation.together ?? []) {
      const [root, other] = [rootOf(operation.key), rootOf(key)];
      if (root !== other) parents.set(other, root);
    }
  }
  return [...Map.groupBy(history, ({ key }) => rootOf(key)).values()];
}

const namesOf = (operations: readonly Operation[]): readonly string[] =>
  [...new Set(operations.flatMap(accessesOf).map(({ key }) => key))].sort();

function report(operations: readonly Operation[]): string {
  const least = shrink(operations, SHRINK_STEPS_MAX);
  const problem = orderProblem(least);
  const answer = searchOrder(problem, SHRINK_STEPS_MAX);
  const lines = least.toSorted((a, b) => a.startMs - b.startMs).map(told);
  const why = answer.kind === 'no-order' ? reasonOf(problem, answer.furthest) : [];
  const isMany = problem.keys.length > 1;
  const toldLines = isMany ? least.map(toldWithKeys) : lines;
  const whole = operations.length - least.length;
  return [
    `${namesOf(least).join(', ')} has no order:`,
    ...toldLines,
    ...why,
    ...(whole === 0 ? [] : [`(${whole} other operations on it are not needed to see this)`]),
  ].join('\n  ');
}

const toldWithKeys = (operation: Operation): string =>
  operation.together === undefined ? `${operation.key}: ${told(operation)}` : told(operation);

function reasonOf({ keys, names }: OrderProblem, { order, state, stuck }: Furthest): string[] {
  const held = keys.map((key, slot) => `${key} = ${names[state[slot] ?? 0] ?? ''}`).join(', ');
  const after =
    order.length === 0
      ? 'at the start'
      : `after ${order.map(({ source }) => short(source)).join(', ')}`;
  const next = stuck.map(({ source }) => short(source)).join(' or ');
  return [`furthest: ${after}: ${held}; then ${next} cannot come`];
}

const short = ({ kind, value }: Operation): string =>
  kind === 'write' && value === null ? 'delete' : `${kind} ${value ?? 'nothing'}`;

/**
 * Judges a history by the Raft indexes in its answers, in n log n: whatever the number of keys and
 * however they are joined. It asks less than an order (linearizable.ts) and looks elsewhere: at the
 * promise that indexes are the order. Values must be unique among the writes of a key.
 */
import { type Access, accessesOf, type Operation, told } from './history.ts';

/** A sentence for each contradiction, with the operations that make it. */
export function revisionViolations(history: readonly Operation[]): readonly string[] {
  return [
    ...againstTime(history),
    ...againstClients(history),
    ...sharedIndexes(history),
    ...[...byKey(history).entries()].flatMap(([key, timeline]) => againstValues(key, timeline)),
  ];
}

/** Answered from the newest state, at a known index. */
const isCurrent = ({ outcome, isStale, raftIndex }: Operation): boolean =>
  (outcome === 'ok' || outcome === 'refused') && isStale !== true && raftIndex !== undefined;

/** Whether the index is that of an entry of its own: nothing that ended before can have it. */
const isEntry = (operation: Operation): boolean =>
  operation.outcome === 'ok' && accessesOf(operation).some(({ kind }) => kind === 'write');

/** What ended before another began has no higher index; a write has a higher one than all before. */
function againstTime(history: readonly Operation[]): readonly string[] {
  const current = history.filter(isCurrent);
  const ended = current.toSorted((a, b) => a.endMs - b.endMs);
  const violations: string[] = [];
  let newest: Operation | undefined;
  let next = 0;
  for (const operation of current.toSorted((a, b) => a.startMs - b.startMs)) {
    for (; (ended[next]?.endMs ?? Number.POSITIVE_INFINITY) < operation.startMs; next += 1) {
      const other = ended[next];
      if (other !== undefined && indexOf(other) >= indexOf(newest)) newest = other;
    }
    if (newest === undefined) continue;
    const isBehind = isEntry(operation)
      ? indexOf(operation) <= indexOf(newest)
      : indexOf(operation) < indexOf(newest);
    if (isBehind) violations.push(violation('an index goes back in time', newest, operation));
  }
  return violations;
}

const indexOf = (operation: Operation | undefined): number => operation?.raftIndex ?? -1;

/** One client, one call after the other, never sees an index fall; nor any below what it asked for. */
function againstClients(history: readonly Operation[]): readonly string[] {
  const tooOld = history.filter(
    ({ outcome, raftIndex, minIndex }) =>
      outcome === 'ok' && raftIndex !== undefined && minIndex !== undefined && raftIndex < minIndex,
  );
  const violations = tooOld.map((operation) =>
    violation(`older than the ${String(operation.minIndex)} that was asked for`, operation),
  );
  for (const [client, calls] of Map.groupBy(history.filter(isCurrent), (call) => call.client)) {
    if (client === undefined) continue;
    let last: Operation | undefined;
    for (const call of calls.toSorted((a, b) => a.startMs - b.startMs)) {
      const follows = last !== undefined && last.endMs <= call.startMs;
      if (follows && last !== undefined && indexOf(call) < indexOf(last)) {
        violations.push(violation(`an index goes back for client ${client}`, last, call));
      }
      last = call;
    }
  }
  return violations;
}

/** One entry, one write. */
function sharedIndexes(history: readonly Operation[]): readonly string[] {
  const writes = history.filter((operation) => isCurrent(operation) && isEntry(operation));
  return [...Map.groupBy(writes, indexOf).values()]
    .filter((sharing) => sharing.length > 1)
    .map((sharing) => violation('two writes have one index', ...sharing));
}

/** What a key was from an index on. */
interface Change {
  readonly index: number;
  readonly value: string | null;
  readonly operation: Operation;
}

interface Sight {
  readonly access: Access;
  readonly operation: Operation;
}

interface Timeline {
  readonly changes: Change[];
  readonly sights: Sight[];
  /** Undecided writes whose index nobody knows: they may be anywhere after their start. */
  readonly undecided: Sight[];
}

/** Undecided writes take the index that a read names, where one does. */
function byKey(history: readonly Operation[]): ReadonlyMap<string, Timeline> {
  const timelines = new Map<string, Timeline>();
  const timelineOf = (key: string): Timeline => {
    const known = timelines.get(key) ?? { changes: [], sights: [], undecided: [] };
    timelines.set(key, known);
    return known;
  };
  const versions = new Map<string, number>();
  for (const operation of history) {
    if (operation.outcome !== 'ok') continue;
    for (const { key, kind, value, version } of accessesOf(operation)) {
      if (kind === 'read' && version !== undefined) versions.set(nameOf(key, value), version);
    }
  }
  for (const operation of history) {
    for (const access of accessesOf(operation)) {
      const { key, kind, value } = access;
      const timeline = timelineOf(key);
      if (isCurrent(operation) && operation.outcome === 'ok') {
        timeline.sights.push({ access, operation });
      }
      if (kind !== 'write' || operation.outcome === 'failed' || operation.outcome === 'refused') {
        continue;
      }
      const seen = value === null ? undefined : versions.get(nameOf(key, value));
      const index = operation.outcome === 'ok' ? operation.raftIndex : seen;
      if (index === undefined) timeline.undecided.push({ access, operation });
      else timeline.changes.push({ index, value, operation });
    }
  }
  for (const { changes } of timelines.values()) changes.sort((a, b) => a.index - b.index);
  return timelines;
}

const nameOf = (key: string, value: string | null): string => JSON.stringify([key, value]);

/** Each answer tells what the newest change up to its index made, or what nobody knows the place of. */
function againstValues(key: string, { changes, sights, undecided }: Timeline): readonly string[] {
  return sights.flatMap(({ access, operation }) => {
    const isWrite = access.kind === 'write';
    if (access.kind === 'check' || (isWrite && access.found === undefined)) return [];
    // A write tells of the time just before its own entry.
    const before = lastUpTo(changes, indexOf(operation) - (isWrite ? 1 : 0));
    const version = access.version;
    if (version !== undefined && version > indexOf(operation)) {
      return [violation(`${key}: a value of the future`, operation)];
    }
    if (isExplained(access, before)) {
      const isOther = before !== undefined && version !== undefined && version !== before.index;
      return isOther
        ? [violation(`${key}: the value is of another index`, before.operation, operation)]
        : [];
    }
    const isLate = undecided.some(
      (write) => write.operation.startMs <= operation.endMs && isExplained(access, write.access),
    );
    // With a version the place of the write is known, and something newer stands before the read.
    if (isLate && version === undefined) return [];
    const others = before === undefined ? [] : [before.operation];
    return [violation(`${key}: not what the index says`, ...others, operation)];
  });
}

function isExplained(
  { kind, value, found }: Access,
  made: { readonly value: string | null } | undefined,
): boolean {
  const held = made?.value ?? null;
  return kind === 'read' ? held === value : found === (held !== null);
}

/** The newest change at or below an index. */
function lastUpTo(changes: readonly Change[], index: number): Change | undefined {
  let [low, high] = [0, changes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((changes[middle]?.index ?? 0) <= index) low = middle + 1;
    else high = middle;
  }
  return changes[low - 1];
}

const violation = (what: string, ...operations: readonly Operation[]): string =>
  [`${what}:`, ...operations.map((operation) => `${operation.key}: ${told(operation)}`)].join(
    '\n  ',
  );

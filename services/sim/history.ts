/**
 * What clients saw, in the form that the checkers judge (linearizable.ts, revisions.ts). A value is
 * known by a name of its own, its ETag or a text that no other write has, so that a read tells whose
 * write it saw.
 */

/** When a write takes effect, or a check holds; values by their names. */
export type Condition =
  | { readonly kind: 'exists' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'match'; readonly values: readonly string[] }
  | { readonly kind: 'none-match'; readonly values: readonly string[] };

/** What an operation does to one key, or sees of it. */
export interface Access {
  readonly key: string;
  /** A deletion is a write of null; a check has a condition and nothing else. */
  readonly kind: 'write' | 'read' | 'check';
  /** What was written or seen; null: nothing is there. */
  readonly value: string | null;
  readonly condition?: Condition | null | undefined;
  /** What the answer to a write says of the time just before it: 200 or 204 true, 201 or 404 false. */
  readonly found?: boolean | undefined;
  /** Of a read: Raft index of the write that made the value, where the answer names it. */
  readonly version?: number | undefined;
}

/**
 * One call of one client. A call that is tried again under the same idempotency key is ONE operation
 * from its first attempt to its last.
 */
export interface Operation extends Access {
  readonly startMs: number;
  readonly endMs: number;
  /**
   * `unknown` writes may take effect at any time after their start, or never; `failed` ones never;
   * `refused` ones (412) saw that their condition did not hold. Failed and unknown reads say nothing.
   */
  readonly outcome: 'ok' | 'refused' | 'unknown' | 'failed';
  /** What the same transaction does to other keys, at the same instant; a key occurs once. */
  readonly together?: readonly Access[] | undefined;
  /** Of a refused transaction: place of the first access whose condition did not hold; 0: its own. */
  readonly failedOp?: number | undefined;
  readonly client?: string | undefined;
  /** `X-Raft-Index` of the answer. */
  readonly raftIndex?: number | undefined;
  /** `X-Min-Raft-Index` of the request. */
  readonly minIndex?: number | undefined;
  /** Asked for with `consistency=stale`: may see the past. */
  readonly isStale?: boolean | undefined;
}

/** All accesses of an operation, in the order that `failedOp` counts. */
export const accessesOf = (operation: Operation): readonly Access[] => [
  operation,
  ...(operation.together ?? []),
];

/** One operation as a line of a report. */
export function told(operation: Operation): string {
  const { startMs, endMs, outcome, client } = operation;
  const accesses = accessesOf(operation);
  const isSingle = accesses.length === 1;
  const what = accesses.map((access) => toldAccess(access, isSingle ? '' : `${access.key}: `));
  const ended = outcome === 'unknown' ? '?' : endMs.toFixed(1);
  return [
    `${startMs.toFixed(1)} to ${ended} ${what.join(' and ')} ${outcome}`,
    ...(client === undefined ? [] : [`by ${client}`]),
    ...(operation.raftIndex === undefined ? [] : [`at ${operation.raftIndex}`]),
  ].join(' ');
}

function toldAccess({ kind, value, condition, found, version }: Access, prefix: string): string {
  const verb = kind === 'write' && value === null ? 'delete' : kind;
  return [
    `${prefix}${verb}`,
    ...(kind === 'check' || verb === 'delete' ? [] : [value ?? 'nothing']),
    ...(version === undefined ? [] : [`of ${version}`]),
    ...(condition === undefined || condition === null ? [] : [toldCondition(condition)]),
    ...(found === undefined ? [] : [found ? 'over a value' : 'over nothing']),
  ].join(' ');
}

function toldCondition(condition: Condition): string {
  const { kind } = condition;
  if (kind === 'exists' || kind === 'absent') return `if ${kind}`;
  return `if ${kind === 'match' ? 'it is' : 'it is not'} ${condition.values.join(' or ')}`;
}

/**
 * What one exploration is about: two gateways with an operation each, the disks, and how often each
 * thing may go wrong. The bounds make the world small; within them every interleaving is explored.
 */
import type { Condition } from '../../metadata/commands.ts';

export type Operation =
  | {
      readonly kind: 'put';
      readonly condition: 'absent' | 'exists' | null;
      /** Both puts with one are tries of one request. */
      readonly idempotent: boolean;
    }
  | { readonly kind: 'delete' };

export interface Budgets {
  /** Starts of volume processes after the first: clean, killed or after a power cut. */
  readonly restarts: number;
  /** Starts from an older image of the disk, taken at any time. */
  readonly images: number;
  /** Moves of the marks. */
  readonly advances: number;
  /** Entries of the log that repeat an earlier one. */
  readonly duplicates: number;
  readonly moves: number;
  readonly aborts: number;
  /** Members that a gateway gives up though they may still answer. */
  readonly failures: number;
}

export interface Scenario {
  readonly name: string;
  readonly disks: number;
  readonly need: number;
  readonly want: number;
  /** `interval` stands for `never` too: whether a sync comes is open in both. */
  readonly fsync: 'always' | 'interval';
  /** Bytes go out as chunks and an end, not as one message. */
  readonly chunked: boolean;
  /** The key has a value on all disks from the start. */
  readonly hasBase: boolean;
  readonly operations: readonly Operation[];
  /** How processes may end. */
  readonly restartKinds: readonly ('clean' | 'kill' | 'power cut')[];
  readonly budgets: Budgets;
  /** How far the tests go. */
  readonly testDepth: number;
}

export const PUT: Operation = { kind: 'put', condition: null, idempotent: false };
export const DELETE: Operation = { kind: 'delete' };

export const conditionOf = (operation: Operation): Condition | null =>
  operation.kind === 'put' && operation.condition !== null ? { kind: operation.condition } : null;

const NOTHING: Budgets = {
  restarts: 0,
  images: 0,
  advances: 0,
  duplicates: 0,
  moves: 0,
  aborts: 0,
  failures: 0,
};

type Change = Omit<Partial<Scenario>, 'budgets'> & { readonly budgets?: Partial<Budgets> };

/** A scenario that says only what it is about. */
export const scenario = (name: string, change: Change = {}): Scenario => ({
  name,
  disks: 2,
  need: 1,
  want: 2,
  fsync: 'always',
  chunked: false,
  hasBase: false,
  operations: [PUT],
  restartKinds: ['clean', 'kill', 'power cut'],
  testDepth: 8,
  ...change,
  budgets: { ...NOTHING, ...change.budgets },
});

/**
 * The faults of a run as plain data: drawn from the seed before the run begins, so that any part of the
 * list can be replayed alone. Each fault ends by itself; none depends on another one.
 */

/** From one host to another one. */
export type Link = readonly [from: string, to: string];

/** What of a host's files decays while it is down. */
export type DamagedFiles = 'segments' | 'index' | 'log' | 'state';

export type FaultAction =
  /** Messages take longer. */
  | {
      readonly kind: 'delay';
      readonly links: readonly Link[];
      readonly delayMsMin: number;
      readonly delayMsMean: number;
      readonly forMs: number;
    }
  /** Nothing passes and nobody is told. */
  | {
      readonly kind: 'partition';
      readonly shape: 'isolate' | 'halves' | 'ring' | 'one-way' | 'uniform';
      readonly links: readonly Link[];
      readonly forMs: number;
    }
  /** Any message may reset its connection. */
  | {
      readonly kind: 'flaky';
      readonly links: readonly Link[];
      readonly resetChance: number;
      readonly forMs: number;
    }
  | { readonly kind: 'reset'; readonly host: string }
  | { readonly kind: 'kill'; readonly hosts: readonly string[]; readonly downMs: number }
  | { readonly kind: 'power-cut'; readonly hosts: readonly string[]; readonly downMs: number }
  | { readonly kind: 'pause'; readonly host: string; readonly forMs: number }
  | { readonly kind: 'restart'; readonly host: string; readonly downMs: number }
  /** The volume's machine comes back with an empty disk; an operator declares the old one gone. */
  | { readonly kind: 'wipe'; readonly host: string; readonly downMs: number }
  | {
      readonly kind: 'slow-disk';
      readonly host: string;
      readonly meanMs: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'disk-error';
      readonly host: string;
      readonly call: 'read' | 'write' | 'sync' | 'syncFolder' | 'rename' | 'open';
    }
  | {
      readonly kind: 'full-disk';
      readonly host: string;
      readonly freeBytes: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'damage';
      readonly host: string;
      readonly files: DamagedFiles;
      readonly how: 'flip' | 'truncate';
      /** Which file and where in it, each in [0, 1). */
      readonly file: number;
      readonly place: number;
      readonly bit: number;
      readonly downMs: number;
    }
  /** An operator asks the leader to hand over. */
  | { readonly kind: 'transfer' };

export type FaultKind = FaultAction['kind'];

export type Fault = FaultAction & {
  /** Its place in the list of the seed. */
  readonly id: number;
  readonly atMs: number;
};

/** One line for people. */
export function tellFault(fault: Fault): string {
  const { id, atMs, kind, ...rest } = fault;
  const links = 'links' in rest ? { links: rest.links.map(([a, b]) => `${a}>${b}`).join(' ') } : {};
  return `${id} at ${atMs} ms: ${kind} ${JSON.stringify({ ...rest, ...links })}`;
}

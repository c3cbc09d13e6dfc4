/**
 * A store that takes part in the race: how it comes onto this machine, how three copies of it are
 * started on fresh folders, and the doors through which it is asked for keys.
 */
import type { Target } from '../load/connection.ts';
import type { Dialect } from '../load/dialect.ts';
import type { Row } from './rows.ts';

export const PEER_NAMES = ['minikv', 'etcd', 'seaweedfs', 'minikv-rust'] as const;
export type PeerName = (typeof PEER_NAMES)[number];

export interface Peer {
  readonly name: PeerName;
  /** Finds it in the cache, or builds it there. @throws Error with the reason why it cannot be had. */
  install(ground: Workshop): Promise<Installed>;
}

/** What an installation takes from the machine. */
export interface Workshop {
  /** Kept between two runs. */
  readonly cache: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface Installed {
  readonly version: string;
  /** The processes of three copies, in the order in which they start. */
  processes(site: Site): readonly ProcessPlan[];
  /** Makes ready what has started, and tells where to ask. Called again until it does not throw. */
  open(site: Site): Promise<readonly Door[]>;
  /** The process whose death ends writes until another one leads; absent: there is none to kill. */
  leader?(site: Site): Promise<string>;
}

/** Where one life of a peer takes place. */
export interface Site {
  readonly folder: string;
  readonly basePort: number;
}

export interface ProcessPlan {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Made before it starts. */
  readonly folder?: string;
}

/** One way of asking a peer: a column of the table. */
export interface Door {
  readonly name: DoorName;
  readonly dialect: Dialect;
  readonly targets: readonly Target[];
  /** When bytes are on disk. */
  readonly durability: string;
  /** Larger values are refused by the peer's own limits; absent: none that matters here. */
  readonly valueBytesMax?: number;
  /** Rows that say something of it; absent: all. */
  readonly isFor?: (row: Row) => boolean;
  /** A load generator that speaks what ours does not; absent: ours. */
  readonly generator?: string;
}

export type DoorName =
  | 'minikv'
  | 'minikv, redirect'
  | 'etcd'
  | 'etcd, gRPC'
  | 'SeaweedFS volumes'
  | 'SeaweedFS volumes, fsync'
  | 'SeaweedFS filer'
  | 'minikv (Rust)';

export const HOST = '127.0.0.1';

/** Targets at ports `first`, `first` + `step` … */
export const targetsAt = (first: number, count: number, step: number): readonly Target[] =>
  Array.from({ length: count }, (_, i) => ({ host: HOST, port: first + step * i }));

/** The numbers of three copies. */
export const COPIES = [1, 2, 3] as const;

/**
 * Parsed settings, plain and readonly. load.ts makes them from file, environment and flags; nothing
 * else reads the environment.
 */
import type { LogLevel } from './fields.ts';

export interface NamedAddress {
  readonly name: string;
  /** host:port */
  readonly address: string;
}

/** Settings that both processes share. */
export interface CommonOptions {
  /** The process' name (`--id`, `NODE_ID`, `VOLUME_ID`); identity is what the folder holds. */
  readonly name: string;
  /** host:port of the HTTP listener; port 0 picks a free one. */
  readonly httpBind: string;
  readonly grpcBind: string;
  /** host:port of the admin listener; null: everything on the HTTP port. */
  readonly adminBind: string | null;
  /** host:port at which others reach the gRPC listener; defaults to the bind address. */
  readonly advertise: string;
  /** 32 hex digits, or null: learned at bootstrap. */
  readonly clusterId: string | null;
  readonly logLevel: LogLevel;
  /** Milliseconds between SIGTERM and closing listeners. */
  readonly shutdownDelayMs: number;
  /** Where the last words of a process that refuses to run go; null: stderr only. */
  readonly terminationLog: string | null;
  readonly podUid: string;
  /** `advertise` with the pod's IP for its host where that is known: true before names catch up. */
  readonly directAddress: string;
  /** The settings file, polled for reloadable fields; null: none. */
  readonly configFile: string | null;
}

export interface CoordinatorOptions extends CommonOptions {
  readonly dataPath: string;
  /** All coordinators of the first configuration, this one among them. */
  readonly peers: readonly NamedAddress[];
  readonly bootstrap: 'auto' | 'manual';
  /** Replication factor, 1 to 5. */
  readonly replicas: number;
  /** Copies that a write needs, at most `replicas`. */
  readonly minReplicas: number;
  readonly maxObjectBytes: number;
  /** Largest value that coordinators keep themselves; 0: none. */
  readonly inlineMaxBytes: number;
  readonly blobCacheBytes: number;
  readonly requestTimeoutMs: number;
  /** Age after which an undecided transaction can no longer be decided. */
  readonly fenceMs: number;
  /** Age after which replaced copies may be dropped. */
  readonly graceMs: number;
  /** Outcomes that are remembered. */
  readonly outcomesMax: number;
  /** How long repair keeps the place of a volume that left on purpose. */
  readonly leaveWaitMs: number;
  readonly heartbeatMs: number;
  readonly electionMs: number;
}

export interface VolumeOptions extends CommonOptions {
  readonly dataPath: string;
  /** Folder of the active segment; defaults to a sub-folder of the data path. */
  readonly walPath: string;
  /** host:port each; one name may stand for many addresses. */
  readonly coordinators: readonly string[];
  readonly fsync:
    | { readonly kind: 'always' }
    | { readonly kind: 'interval'; readonly intervalMs: number }
    | { readonly kind: 'never' };
  /** null: not given, keep the stored one. */
  readonly zone: string | null;
  readonly segmentBytes: number;
  /** Free bytes below which staging is refused with NO_SPACE. */
  readonly reserveBytes: number;
  readonly compactionBytesPerSecond: number;
  /** 0: nothing is scrubbed. */
  readonly scrubBytesPerSecond: number;
  readonly heartbeatMs: number;
  /** Bytes of value that this volume may hold; 0: what the disk has. */
  readonly capacityBytes: number;
  /** Advertised host:port of the HTTP listener, for redirects. */
  readonly advertiseHttp: string;
}

export interface OperatorOptions {
  /** Namespaces whose clusters are run; empty: all. */
  readonly watchNamespaces: readonly string[];
  /** Besides the operator's own: whose pods the network policies let reach admin ports. */
  readonly adminNamespaces: readonly string[];
  readonly podName: string;
  /** Where the Lease is. */
  readonly podNamespace: string;
  readonly bind: { readonly host: string; readonly port: number };
  /** Clusters looked at at the same time. */
  readonly workers: number;
  readonly lease: {
    readonly durationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryMs: number;
  };
  readonly logLevel: LogLevel;
  readonly terminationLog: string | null;
}

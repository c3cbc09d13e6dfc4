/**
 * A whole cluster of minikv in one thread: production coordinators and volumes on a virtual clock, one seeded
 * random source, a simulated network and simulated disks. Same seed, same plan: same events in the same order.
 */
import type { Random } from '../common/random.ts';
import type { AdminPort } from '../coordinator/admin-port.ts';
import type { Coordinator } from '../coordinator/coordinator.ts';
import type { Gateway } from '../coordinator/gateway.ts';
import type { LogFields } from '../telemetry/logger.ts';
import type { VolumeHttpPort } from '../volume/http/volume-http-port.ts';
import type { Volume } from '../volume/volume.ts';

export interface SimOptions {
  readonly seed: number;
  /** 1 to 7. */
  readonly coordinators: number;
  /** 1 to 9. */
  readonly volumes: number;
  /** Overrides of CoordinatorOptions / VolumeOptions: small segments, small caches, short fence, fsync policy ... */
  readonly coordinatorOptions?: object;
  readonly volumeOptions?: object;
  /** Entries that coordinators keep in their logs behind the flushed state. */
  readonly slackEntries?: number;
  /** Bytes of one segment of their logs. */
  readonly logSegmentBytes?: number;
  /** What a process writes to its log. */
  readonly onLog?: (host: string, message: string, fields: LogFields) => void;
  /** What a process adds to a counter of its metrics. */
  readonly onCount?: (host: string, metric: string, count: number) => void;
}

/** One simulated machine: a process that may run, and a disk that outlives it. */
export interface SimHost {
  /** coord-0, volume-2 and so on. */
  readonly name: string;
  readonly role: 'coordinator' | 'volume';
  readonly isUp: boolean;
  readonly isPaused: boolean;
  /** Starts the process on what the disk holds; it comes up in virtual time by itself. */
  start(): void;
  /** SIGKILL: nothing of the process runs any more; what it wrote stands (page cache), its connections are reset. */
  kill(): void;
  /** The machine loses power: as kill, and what was not synced is lost, kept or torn by the seed; connections fall silent (no reset). */
  cutPower(): void;
  /** SIGTERM; resolves (in virtual time) once it has ended. */
  stop(): Promise<void>;
  /** SIGSTOP and SIGCONT: its timers, disk completions and messages wait. */
  pause(): void;
  resume(): void;
  /** Why the process ended by itself (onFatal), null while it has not. */
  readonly fatal: Error | null;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  /** The running production object, for invariants and for clients; null while it is down. */
  readonly coordinator: Coordinator | null;
  readonly volume: Volume | null;
  /**
   * What HTTP would call; null until the member serves. Its promises settle as a client sees them: an
   * error of the server is a `KvError`; a server that went is `ConnectionLost`, at once after a kill and
   * after 10 s where the machine lost its power; one that is paused answers nothing until it goes on.
   */
  readonly gateway: Gateway | null;
  /** What its admin port would call. */
  readonly admin: AdminPort | null;
  /** What the HTTP port of a volume would call; null for a coordinator and while it is down. */
  readonly volumePort: VolumeHttpPort | null;
}

/** The clock of a machine; monotonic whatever is set. */
export interface SimClock {
  /** How fast it goes: 1 as virtual time, more is faster. */
  rate: number;
  /** How far its time of day is off, in ms. */
  wallSkewMs: number;
}

export interface SimDisk {
  /** Latency of the next calls: mean of an exponential, in virtual ms. */
  latency: { readMs: number; writeMs: number; syncMs: number };
  /** As MemoryDisk: failNext, fill (ENOSPC), flipBit; plus listing of files for damage while down. */
  failNext(
    call: 'read' | 'write' | 'sync' | 'syncFolder' | 'rename' | 'open',
    pathPart?: string,
  ): void;
  fill(freeBytes: number): void;
  flipBit(path: string, offset: number, bit?: number): void;
  truncate(path: string, length: number): void;
  /** The disk as it stands now; the answer puts it back, while the host is down. */
  image(): () => void;
  wipe(): void;
  files(): readonly { readonly path: string; readonly sizeBytes: number }[];
}

/** One direction between two hosts. Streams are ordered and reliable as TCP is: what is lost stalls or resets. */
export interface LinkFaults {
  readonly delayMsMin: number;
  readonly delayMsMean: number;
  /** Nothing passes and nobody is told, as with dropped packets: the keepalive must notice. */
  readonly isCut: boolean;
  /** Chance that one message resets the connection. */
  readonly resetChance: number;
}

export interface SimNetwork {
  set(from: string, to: string, faults: Partial<LinkFaults>): void;
  heal(): void;
  resetAll(host: string): void;
}

export interface SimCluster {
  readonly nowMs: number;
  readonly random: Random;
  readonly hosts: readonly SimHost[];
  readonly coordinators: readonly SimHost[];
  readonly volumes: readonly SimHost[];
  readonly network: SimNetwork;
  /**
   * The host whose step is being run right now: what a failpoint hook was called by. Null in a step of
   * the plan or of the network, and for what is left of a step in which the process has died.
   */
  readonly current: SimHost | null;
  /** Events run so far. */
  readonly eventCount: number;
  /** Order-sensitive hash of all events so far (time, host, kind, bytes of messages): equal for equal seeds. */
  readonly traceHash: string;
  /** Called after every event, when the loop is quiet again; throws to fail the run. */
  onEvent(check: () => void): void;
  /** Virtual timer for workload and faults (never paused or killed). */
  after(delayMs: number, fn: () => void): { cancel(): void };
  /** Resolves once virtual time has passed `ms` from now, driving all events up to then. Only one caller drives at a time. */
  run(ms: number): Promise<void>;
  /** Drives until the condition holds or `maxMs` have passed; answers whether it holds. */
  runUntil(condition: () => boolean, maxMs: number): Promise<boolean>;
}

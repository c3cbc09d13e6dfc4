/**
 * What must hold at every moment of a run, asked of the production objects from within. A broken invariant
 * throws, so that the run ends in the very event that broke it.
 */
import type { LogIndex } from '../common/ids.ts';
import type { Member } from '../coordinator/member.ts';
import type { Applied } from '../metadata/machine.ts';
import type { RaftStatus } from '../raft/types.ts';
import type { SimCluster, SimHost } from './types.ts';

export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant';
}

/** One life of a coordinator, and what it has said so far. */
interface Life {
  readonly host: SimHost;
  readonly member: Member;
  term: number;
  commit: number;
  applied: number;
  isRecovering: boolean;
}

export interface AppliedEvent {
  readonly host: SimHost;
  readonly member: Member;
  readonly index: number;
  readonly result: Applied;
}

export interface InvariantEvents {
  readonly memberOpened: (host: SimHost, member: Member) => void;
  readonly leadership: (host: SimHost, status: RaftStatus) => void;
  /** An entry is applied for the first time anywhere. */
  readonly firstApplied: (event: AppliedEvent) => void;
  readonly recovering: (host: SimHost, isRecovering: boolean) => void;
}

/** Bounds of what may queue, far above what a run needs and far below what memory holds. */
const UNFLUSHED_BYTES_MAX = 64 * 2 ** 20;
const UNCOMMITTED_ENTRIES_MAX = 100_000;
/** Status of all members is looked at once in so many events; leadership and applies are heard at once. */
const LOOK_EVERY = 8;

export class Invariants {
  readonly #cluster: SimCluster;
  readonly #events: InvariantEvents;
  /** The present life of each coordinator, or the last one while it is down. */
  readonly #lives = new Map<SimHost, Life>();
  /** Who led in a term. */
  readonly #leaders = new Map<number, SimHost>();
  /** What the entry at an index came to, as first applied by anybody. */
  readonly #results = new Map<number, string>();
  /** Digest of the whole state after an index, as first seen. */
  readonly #digests = new Map<number, string>();
  #appliedMax = 0;
  #turns = 0;
  /** What production code calls back must not throw: it would take that for its own failure. */
  #failure: BrokenInvariant | null = null;

  constructor(cluster: SimCluster, events: InvariantEvents) {
    this.#cluster = cluster;
    this.#events = events;
  }

  /** The greatest index that any coordinator has applied. */
  get appliedMax(): number {
    return this.#appliedMax;
  }

  /** The member of a coordinator as it is now; null while there is none. */
  memberOf(host: SimHost): Member | null {
    return host.coordinator?.member ?? null;
  }

  /** After each event. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
    for (const host of this.#cluster.coordinators) {
      const member = this.memberOf(host);
      if (member !== null && this.#lives.get(host)?.member !== member) this.#adopt(host, member);
    }
    this.#turns += 1;
    if (this.#turns % LOOK_EVERY === 0) this.look();
  }

  look(): void {
    for (const life of this.#lives.values()) {
      if (this.memberOf(life.host) === life.member && life.host.isUp) this.#lookAt(life);
    }
  }

  /** A client has been told that `index` is applied: a majority must have it durable. */
  acknowledged(index: number): void {
    this.look();
    const { coordinators } = this.#cluster;
    const holders = coordinators.filter((host) => this.#durableOn(host) >= index);
    if (holders.length * 2 > coordinators.length) return;
    const known = coordinators.map((host) => `${host.name}: ${this.#durableOn(host)}`);
    this.#failure ??= new BrokenInvariant(
      `index ${index} was acknowledged, but is not durable on a majority (${known.join(', ')})`,
    );
  }

  #adopt(host: SimHost, member: Member): void {
    const life: Life = { host, member, term: 0, commit: 0, applied: 0, isRecovering: false };
    this.#lives.set(host, life);
    const isCurrent = (): boolean => this.#lives.get(host) === life;
    member.consensus.onLeadership((status) => {
      if (!isCurrent()) return;
      this.#noteLeader(life, status);
      this.#events.leadership(host, status);
    });
    member.metadata.onApplied((applied) => {
      if (!isCurrent()) return;
      for (const { index, result } of applied) this.#noteApplied(life, index, result);
      this.#noteDigest(life);
    });
    member.metadata.onInstalled(() => {
      if (!isCurrent()) return;
      this.#noteDigest(life);
    });
    this.#noteLeader(life, member.consensus.status());
    this.#events.memberOpened(host, member);
  }

  #lookAt(life: Life): void {
    const { host, member } = life;
    const status = member.consensus.status();
    this.#noteLeader(life, status);
    const applied = member.metadata.appliedIndex;
    if (status.recovering !== life.isRecovering) {
      life.isRecovering = status.recovering;
      this.#events.recovering(host, status.recovering);
    }
    this.#rises(host, 'term', life.term, status.term);
    this.#rises(host, 'commit', life.commit, status.commit);
    this.#rises(host, 'applied', life.applied, applied);
    life.term = status.term;
    life.commit = status.commit;
    life.applied = applied;
    if (status.applied > status.commit) {
      this.#broken(host, `has applied ${status.applied} and committed only ${status.commit}`);
    }
    if (status.lastIndex < status.commit) {
      this.#broken(host, `has committed ${status.commit} and holds only ${status.lastIndex}`);
    }
    const { flushed } = member.metadata;
    const durable = member.consensus.durableIndex;
    if (flushed.index > durable && !member.metadata.installed) {
      this.#broken(host, `has flushed ${flushed.index}, but its log is durable up to ${durable}`);
    }
    if (member.metadata.unflushedBytes > UNFLUSHED_BYTES_MAX) {
      this.#broken(host, `keeps ${member.metadata.unflushedBytes} bytes unflushed`);
    }
    if (status.lastIndex - status.commit > UNCOMMITTED_ENTRIES_MAX) {
      this.#broken(host, `has ${status.lastIndex - status.commit} entries uncommitted`);
    }
  }

  /**
   * As far as the log of a coordinator is durable. One that is down has what it had at its very end, and not
   * only at the last look: it may have acknowledged an entry and died between two looks.
   */
  #durableOn(host: SimHost): number {
    return this.#lives.get(host)?.member.consensus.durableIndex ?? 0;
  }

  #rises(host: SimHost, what: string, before: number, now: number): void {
    if (now < before) this.#broken(host, `its ${what} fell from ${before} to ${now}`);
  }

  #noteLeader({ host }: Life, { role, term }: RaftStatus): void {
    if (role !== 'leader') return;
    const known = this.#leaders.get(term);
    if (known === undefined) this.#leaders.set(term, host);
    else if (known !== host) this.#broken(host, `leads term ${term}, as ${known.name} does`);
  }

  #noteApplied({ host, member }: Life, index: LogIndex, result: Applied): void {
    const text = JSON.stringify(result);
    const known = this.#results.get(index);
    if (known === undefined) {
      this.#results.set(index, text);
      this.#appliedMax = Math.max(this.#appliedMax, index);
      this.#events.firstApplied({ host, member, index, result });
    } else if (known !== text) {
      this.#broken(host, `applied ${index} as ${text}, others as ${known}`);
    }
  }

  #noteDigest({ host, member }: Life): void {
    const index = member.metadata.appliedIndex;
    const digest = member.metadata.digest();
    const known = this.#digests.get(index);
    if (known === undefined) this.#digests.set(index, digest);
    else if (known !== digest) {
      this.#broken(host, `its state at ${index} has digest ${digest}, others had ${known}`);
    }
  }

  #broken(host: SimHost, what: string): void {
    this.#failure ??= new BrokenInvariant(`${host.name}: ${what}`);
  }
}

/**
 * A few Raft cores with disks and a network of plain arrays, moved by hand. Keeps what a real driver
 * keeps (durable apart from handed out, applied apart from flushed) and checks the safety of the
 * whole cluster as it goes: one leader a term, logs that match, commits that never change, leaders
 * that hold all that is committed, reads that are never stale.
 */
import { assert, present } from '../common/assert.ts';
import { textOf, utf8 } from '../common/bytes.ts';
import { logIndex, type NodeId, nodeId, term } from '../common/ids.ts';
import { RaftCore } from '../raft/core.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry, HardState, LogPoint, RaftLimits, RaftOptions, Ready } from '../raft/types.ts';

export interface ClusterOptions {
  readonly size: number;
  readonly randomBelow: (node: number, bound: number) => number;
  readonly heartbeatTicks?: number;
  readonly electionTicksMin?: number;
  readonly limits?: Partial<RaftLimits>;
}

const ORIGIN: LogPoint = { index: logIndex(0), term: term(0) };
const LIMITS: RaftLimits = {
  uncommittedBytesMax: 4096,
  appendBytesMax: 1024,
  inflightMessagesMax: 4,
  inflightBytesMax: 2048,
};

/** What outlives a crash. */
interface SimulatedDisk {
  hardState: HardState;
  base: LogPoint;
  entries: Entry[];
  /** The state machine's durable point. */
  flushed: LogPoint;
  recovering: boolean;
  bootId: number;
}

export interface SimulatedNode {
  readonly id: NodeId;
  readonly disk: SimulatedDisk;
  /** Null while crashed. */
  core: RaftCore | null;
  /** Taken and not yet synced, oldest first. */
  writes: Ready[];
  /** The log as handed out so far, durable or not. */
  log: Map<number, Entry>;
  applied: LogPoint;
}

/** A snapshot on its way. */
export interface SnapshotTransfer {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly point: LogPoint;
  readonly term: number;
}

export type Outcome =
  | {
      readonly kind: 'read';
      readonly node: number;
      readonly readId: number;
      readonly index: number;
    }
  | { readonly kind: 'lost-read'; readonly node: number; readonly readId: number }
  | {
      readonly kind: 'refused';
      readonly node: number;
      readonly proposalId: number;
      readonly reason: string;
    };

export class RaftCluster {
  readonly nodes = new Map<number, SimulatedNode>();
  readonly wire: Message[] = [];
  readonly transfers: SnapshotTransfer[] = [];
  /** What callers were told, oldest first. */
  readonly outcomes: Outcome[] = [];
  /** Every committed entry by index, as `term:data`. */
  readonly committed = new Map<number, string>();
  readonly leaders = new Map<number, number>();
  readonly #options: ClusterOptions;
  readonly #written = new Map<string, string>();
  readonly #readFloors = new Map<number, number>();
  #commitMax = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    for (let id = 1; id <= options.size; id += 1) {
      this.nodes.set(id, {
        id: nodeId(id),
        disk: {
          hardState: { term: term(0), vote: nodeId(0) },
          base: ORIGIN,
          entries: [],
          flushed: ORIGIN,
          recovering: false,
          bootId: 0,
        },
        core: null,
        writes: [],
        log: new Map(),
        applied: ORIGIN,
      });
      this.start(id);
    }
  }

  node(id: number): SimulatedNode {
    return present(this.nodes.get(id), `node ${id}`);
  }

  core(id: number): RaftCore {
    return present(this.node(id).core, `core of node ${id}`);
  }

  get running(): readonly SimulatedNode[] {
    return [...this.nodes.values()].filter((node) => node.core !== null);
  }

  start(id: number): void {
    const node = this.node(id);
    const { disk } = node;
    assert(node.core === null, 'a running node is not started');
    disk.bootId += 1;
    const options: RaftOptions = {
      self: node.id,
      voters: Array.from({ length: this.#options.size }, (_, i) => nodeId(i + 1)),
      bootId: disk.bootId,
      heartbeatTicks: this.#options.heartbeatTicks ?? 2,
      electionTicksMin: this.#options.electionTicksMin ?? 10,
      randomBelow: (bound) => this.#options.randomBelow(id, bound),
      limits: { ...LIMITS, ...this.#options.limits },
    };
    node.core = new RaftCore(options, {
      hardState: disk.hardState,
      base: disk.base,
      entries: [...disk.entries],
      applied: disk.flushed.index,
      recovering: disk.recovering,
    });
    node.log = new Map(disk.entries.map((entry) => [entry.index, entry]));
    node.applied = disk.flushed;
  }

  /** Loses what was not synced, except the first `survivors` writes that reached the disk unreported. */
  crash(id: number, survivors = 0): void {
    const node = this.node(id);
    for (const write of node.writes.slice(0, survivors)) this.#store(node, write);
    node.core = null;
    node.writes = [];
  }

  /** Cuts the durable log to `count` entries behind its base, as a detected loss does. */
  loseLog(id: number, count: number): void {
    const { disk } = this.node(id);
    assert(this.node(id).core === null, 'the log of a running node is not lost');
    disk.entries.length = Math.min(disk.entries.length, count);
    disk.recovering = true;
  }

  /** Takes all work of a node: sends what may leave, applies, and queues what must be synced. */
  collect(id: number): void {
    const node = this.node(id);
    for (let ready = node.core?.takeReady(); ready; ready = node.core?.takeReady()) {
      this.wire.push(...ready.messages);
      this.#checkWritten(node, ready);
      node.writes.push(ready);
      this.#apply(node, ready.committed);
      this.#report(node, ready);
      for (const { to } of ready.snapshotRequests) {
        const sentTerm = this.core(id).status().term;
        this.transfers.push({ from: node.id, to, point: node.disk.flushed, term: sentTerm });
      }
      this.#checkLeader(node);
    }
  }

  /** Syncs the oldest `count` writes and lets go what waited for them. */
  sync(id: number, count = Infinity): void {
    const node = this.node(id);
    for (const write of node.writes.splice(0, count)) {
      this.#store(node, write);
      this.wire.push(...write.messagesAfterPersist);
      const last = write.entries.at(-1);
      if (last !== undefined) this.core(id).persisted({ index: last.index, term: last.term });
      if (write.installSnapshot !== null) this.core(id).snapshotInstalled(write.installSnapshot);
    }
    this.collect(id);
  }

  /** Hands a message over; to a crashed node it is lost. */
  deliver(message: Message): void {
    this.node(message.to).core?.receive(message);
    this.collect(message.to);
  }

  /** Ends a snapshot's way: staged and reported at both ends, or lost. */
  finishTransfer(transfer: SnapshotTransfer, arrives: boolean): void {
    const receiver = this.node(transfer.to).core;
    const staged = arrives && receiver !== null;
    if (staged) {
      receiver.snapshotReady(transfer.point, transfer.from, term(transfer.term));
      this.collect(transfer.to);
    }
    this.node(transfer.from).core?.snapshotSent(transfer.to, staged ? transfer.point : null);
    this.collect(transfer.from);
  }

  /** Makes applied state durable, never ahead of the own log. */
  flush(id: number): void {
    const { applied, disk } = this.node(id);
    if (applied.index <= disk.flushed.index) return;
    if (applied.index > this.core(id).durableIndex) return;
    const held = disk.entries.find((entry) => entry.index === applied.index);
    assert(held?.term === applied.term, 'what the core calls durable is on disk in that form');
    disk.flushed = applied;
  }

  /** Cuts the log behind the flushed point. */
  compact(id: number): void {
    const node = this.node(id);
    const { disk } = node;
    if (disk.flushed.index <= disk.base.index) return;
    const held = disk.entries.find((entry) => entry.index === disk.flushed.index);
    if (held?.term !== disk.flushed.term) return;
    disk.entries = disk.entries.filter((entry) => entry.index > disk.flushed.index);
    disk.base = disk.flushed;
    this.core(id).compacted(disk.base);
  }

  propose(id: number, proposalId: number, text: string): void {
    this.core(id).propose(proposalId, [utf8(text)]);
    this.collect(id);
  }

  read(id: number, readId: number): void {
    this.#readFloors.set(readId, this.#commitMax);
    this.core(id).read(readId);
    this.collect(id);
  }

  /** The node that leads in the highest term, 0 where none does. */
  leader(): number {
    let best = 0;
    let bestTerm = 0;
    for (const { id, core } of this.running) {
      const status = core?.status();
      if (status?.role !== 'leader' || status.term <= bestTerm) continue;
      best = id;
      bestTerm = status.term;
    }
    return best;
  }

  /** Texts of the commands that a node applied or holds, in order, up to its applied index. */
  commands(): readonly string[] {
    return [...this.committed.entries()]
      .sort(([a], [b]) => a - b)
      .map(([, value]) => value.slice(value.indexOf(':') + 1))
      .filter((text) => text !== '');
  }

  #store(node: SimulatedNode, write: Ready): void {
    const { disk } = node;
    if (write.hardState !== null) disk.hardState = write.hardState;
    const { truncateFrom } = write;
    if (truncateFrom !== null) {
      assert(truncateFrom > disk.flushed.index, 'flushed state is never cut off');
      disk.entries = disk.entries.filter((entry) => entry.index < truncateFrom);
    }
    for (const entry of write.entries) {
      const last = disk.entries.at(-1)?.index ?? disk.base.index;
      // The log may have been cut behind this entry while its write was under way.
      if (entry.index <= disk.base.index) continue;
      assert(entry.index === last + 1, `node ${node.id}: the durable log has no gap`);
      disk.entries.push(entry);
    }
    if (write.recovered) disk.recovering = false;
    if (write.installSnapshot !== null) {
      disk.base = write.installSnapshot;
      disk.entries = [];
      disk.flushed = write.installSnapshot;
      node.applied = write.installSnapshot;
      node.log.clear();
    }
  }

  #apply(node: SimulatedNode, entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === node.applied.index + 1, `node ${node.id}: applied in order`);
      const value = `${entry.term}:${textOf(entry.data)}`;
      const known = this.committed.get(entry.index);
      assert(
        known === undefined || known === value,
        `index ${entry.index} committed as ${known ?? ''} and as ${value}`,
      );
      this.committed.set(entry.index, value);
      node.applied = { index: entry.index, term: entry.term };
    }
    if (entries.length === 0) return;
    this.#commitMax = Math.max(this.#commitMax, node.applied.index);
    this.core(node.id).applied(node.applied.index);
  }

  #report(node: SimulatedNode, ready: Ready): void {
    for (const { readId, index } of ready.reads) {
      const floor = this.#readFloors.get(readId) ?? 0;
      assert(index >= floor, `read ${readId} at ${index} misses what was committed at ${floor}`);
      this.outcomes.push({ kind: 'read', node: node.id, readId, index });
    }
    for (const readId of ready.lostReads) {
      this.outcomes.push({ kind: 'lost-read', node: node.id, readId });
    }
    for (const { proposalId, reason } of ready.refusedProposals) {
      this.outcomes.push({ kind: 'refused', node: node.id, proposalId, reason });
    }
  }

  /** Log matching by induction: a point determines its data and the term before it, everywhere. */
  #checkWritten(node: SimulatedNode, ready: Ready): void {
    const { truncateFrom } = ready;
    if (truncateFrom !== null) {
      for (const index of node.log.keys()) if (index >= truncateFrom) node.log.delete(index);
    }
    for (const entry of ready.entries) {
      const before = node.log.get(entry.index - 1);
      node.log.set(entry.index, entry);
      if (before === undefined) continue;
      const key = `${entry.index}@${entry.term}`;
      const value = `${before.term}|${textOf(entry.data)}`;
      const known = this.#written.get(key);
      assert(known === undefined || known === value, `two logs differ at ${key}`);
      this.#written.set(key, value);
    }
  }

  #checkLeader(node: SimulatedNode): void {
    const status = node.core?.status();
    if (status?.role !== 'leader') return;
    const known = this.leaders.get(status.term);
    assert(known === undefined || known === node.id, `two leaders in term ${status.term}`);
    if (known !== undefined) return;
    this.leaders.set(status.term, node.id);
    for (const [index, value] of this.committed) {
      if (index <= node.disk.base.index) continue;
      const held = node.log.get(index);
      assert(
        held !== undefined && `${held.term}:${textOf(held.data)}` === value,
        `leader ${node.id} of term ${status.term} lacks committed index ${index}`,
      );
    }
  }
}

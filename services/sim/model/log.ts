/**
 * The committed log as a tree: a node is a log, its children are the logs that one more entry makes.
 * A node's state comes from the product's own `apply`, by replay, and what was asked of it is kept.
 * Every entry is checked when it is made: what is decided stays decided, votes are current, the value
 * is what the decisions say, and a copy that left a record never returns.
 */
import {
  type CopyId,
  copyIdFrom,
  type DiskId,
  diskId,
  logIndex,
  type TxnId,
} from '../../common/ids.ts';
import { MetadataState } from '../../metadata/apply.ts';
import type { Command, Commit } from '../../metadata/commands.ts';
import { TABLE } from '../../metadata/keys.ts';
import type { Applied } from '../../metadata/machine.ts';
import { MemoryStore } from '../../metadata/memory-store.ts';
import { decodeIndex } from '../../metadata/record-codec.ts';
import type {
  Copy,
  DiskRecord,
  GarbageRow,
  Marks,
  TxnOutcome,
  Undecided,
} from '../../metadata/records.ts';
import { copy, txn } from '../../testing/metadata-world.ts';
import { copyName, KEY } from './names.ts';
import type { Rules } from './rules.ts';

/** What a state says, as far as the model looks. */
export interface View {
  readonly blobId: string | null;
  readonly copies: readonly Copy[];
  readonly suspects: readonly Copy[];
  readonly disks: readonly DiskRecord[];
  readonly marks: Marks;
  readonly garbage: readonly GarbageRow[];
}

export interface Held {
  readonly disk: DiskId;
  readonly copyId: CopyId;
}

export const placeOf = ({ disk, copyId }: Held): string => `${disk}:${copyId}`;

interface Replica {
  readonly state: MetadataState;
  readonly store: MemoryStore;
}

/** Replicas that are kept for being asked; others are made anew by replay. */
const STATES_MAX = 4000;

export class LogTree {
  readonly rules: Rules;
  /** Copies of which a state may be asked. */
  readonly #states = new Map<LogNode, Replica>();
  readonly root: LogNode;
  size = 0;

  constructor(rules: Rules) {
    this.rules = rules;
    this.root = new LogNode(this, null, null);
  }

  /** The replicated state at the end of a log. */
  stateOf(node: LogNode): MetadataState {
    const known = this.#states.get(node);
    if (known !== undefined) return known.state;
    const replica = this.replay(node.path);
    this.keep(node, replica);
    return replica.state;
  }

  /** A state of its own. */
  replay(path: readonly LogNode[]): Replica {
    const store = new MemoryStore();
    const state = MetadataState.empty(store);
    for (const { command, index } of path) {
      if (command !== null) state.apply(logIndex(index), this.appliedOf(command, state));
    }
    return { state, store };
  }

  appliedOf(command: Command, before: MetadataState): Command {
    return this.rules.applied(command, before);
  }

  keep(node: LogNode, replica: Replica): void {
    this.#states.set(node, replica);
    if (this.#states.size <= STATES_MAX) return;
    const [oldest] = this.#states.keys();
    if (oldest !== undefined) this.#states.delete(oldest);
  }
}

export class LogNode {
  readonly tree: LogTree;
  readonly parent: LogNode | null;
  readonly command: Command | null;
  readonly index: number;
  /** From the empty log to this one: the log up to an index is at that index. */
  readonly path: readonly LogNode[];
  readonly id: number;
  readonly view: View;
  readonly applied: Applied | null;
  /** The highest fence that an Advance has set. */
  readonly fence: number;
  /** How transactions ended, by txnId. */
  readonly decided: ReadonlyMap<TxnId, string>;
  /** Copies that a record has listed and lists no more. */
  readonly unlisted: ReadonlySet<string>;
  /** The blob that the decisions make the value; null: none. */
  readonly expected: string | null;
  /** Why this log must never be; null: all is well. */
  readonly wrong: string | null;
  /** An answer DROP that did not stay true. */
  brokenPromise: string | null = null;
  readonly #children = new Map<Command, LogNode>();
  readonly #answers = new Map<string, 'KEEP' | 'DROP' | 'LATER'>();

  constructor(tree: LogTree, parent: LogNode | null, command: Command | null) {
    this.tree = tree;
    this.parent = parent;
    this.command = command;
    this.index = parent === null ? 0 : parent.index + 1;
    this.path = [...(parent?.path ?? []), this];
    this.id = tree.size;
    tree.size += 1;
    const replica = tree.replay(parent?.path ?? []);
    const { state } = replica;
    this.applied =
      command === null ? null : state.apply(logIndex(this.index), tree.appliedOf(command, state));
    tree.keep(this, replica);
    this.view = viewOf(replica);
    this.fence = fenceAfter(this);
    this.decided = decidedAfter(this);
    this.expected = expectedAfter(this);
    this.unlisted = unlistedAfter(this);
    this.wrong = parent?.wrong ?? wrongOf(this);
  }

  /** This log and one more entry; equal commands are one object. */
  append(command: Command): LogNode {
    const known = this.#children.get(command);
    if (known !== undefined) return known;
    const child = new LogNode(this.tree, this, command);
    this.#children.set(command, child);
    return child;
  }

  holds(command: Command): boolean {
    return this.path.some((at) => at.command === command);
  }

  /** The log up to an earlier index. */
  at(index: number): LogNode {
    return this.path[index] ?? this;
  }

  firstBrokenPromise(): string | null {
    return this.path.find(({ brokenPromise }) => brokenPromise !== null)?.brokenPromise ?? null;
  }

  settled(txnId: TxnId): TxnOutcome | Undecided | undefined {
    return this.tree.stateOf(this).settled(txnId);
  }

  ask(held: Held, txnNumber: number, birth: number): 'KEEP' | 'DROP' | 'LATER' {
    const key = `${placeOf(held)}:${txnNumber}:${birth}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const state = this.tree.stateOf(this);
    const question = { ...held, txnId: txn(birth, txnNumber), owner: KEY };
    const answer = this.tree.rules.ask(state, question, this.fence);
    this.#answers.set(key, answer);
    const before = this.parent?.ask(held, txnNumber, birth) ?? 'LATER';
    if (before === 'DROP' && answer !== 'DROP') {
      this.brokenPromise = `DROP of ${copyName(txnNumber)} on disk ${held.disk} was answered at ${this.index - 1}, at ${this.index} the answer is ${answer}`;
    }
    return answer;
  }
}

function viewOf({ state, store }: Replica): View {
  const record = state.record(KEY);
  return {
    blobId: record?.blobId ?? null,
    copies: record?.copies ?? [],
    suspects: record === undefined ? [] : state.suspects(KEY),
    disks: state.disks().map((disk) => ({ ...disk })),
    marks: state.marks,
    garbage: garbageOf(store),
  };
}

function garbageOf(store: MemoryStore): readonly GarbageRow[] {
  return store.rows().flatMap(([key, value]) => {
    if (key[0] !== TABLE.garbage) return [];
    const disk = diskId(new DataView(key.buffer, key.byteOffset).getUint32(1));
    return [{ disk, queuedAt: decodeIndex(value), copyId: copyIdFrom(key.subarray(5)) }];
  });
}

function fenceAfter({ parent, command, index }: LogNode): number {
  const before = parent?.fence ?? 0;
  return command?.kind === 'advance' ? Math.max(before, Math.min(command.fence, index)) : before;
}

function decidedAfter({ parent, applied }: LogNode): ReadonlyMap<TxnId, string> {
  const before = parent?.decided ?? new Map<TxnId, string>();
  if (applied?.kind !== 'txn' || applied.outcome.kind === 'forgotten') return before;
  if (before.has(applied.txnId)) return before;
  return new Map([...before, [applied.txnId, JSON.stringify(applied.outcome)]]);
}

/** A commit has its effect where it is applied first, and nowhere else. */
function expectedAfter({ parent, command, applied, index }: LogNode): string | null {
  const before = parent?.expected ?? null;
  if (command?.kind !== 'commit' || applied?.kind !== 'txn') return before;
  const { outcome } = applied;
  if (outcome.kind !== 'applied' || outcome.index !== index) return before;
  if (parent?.decided.has(command.txnId) === true) return before;
  const [op] = command.ops;
  return op?.body.kind === 'put' ? op.body.blobId : null;
}

function unlistedAfter({ parent, view }: LogNode): ReadonlySet<string> {
  const before = parent?.unlisted ?? new Set<string>();
  const gone = (parent?.view.copies ?? []).filter((held) => !lists(view.copies, held));
  return gone.length === 0 ? before : new Set([...before, ...gone.map(placeOf)]);
}

export const lists = (copies: readonly Held[], held: Held): boolean =>
  copies.some(({ disk, copyId }) => disk === held.disk && copyId === held.copyId);

function wrongOf(node: LogNode): string | null {
  const { applied, parent, view } = node;
  if (applied?.kind === 'txn' && applied.outcome.kind !== 'forgotten') {
    if (applied.outcome.kind === 'malformed') return 'a proposal was born after its own index';
    const before = parent?.decided.get(applied.txnId);
    const now = JSON.stringify(applied.outcome);
    if (before !== undefined && before !== now) {
      return `a decided outcome has changed from ${before} to ${now}`;
    }
  }
  if (view.blobId !== node.expected) {
    return `the value is ${view.blobId ?? 'absent'}, by the decisions it is ${node.expected ?? 'absent'}`;
  }
  const returned = view.copies.find((held) => node.unlisted.has(placeOf(held)));
  if (returned !== undefined) return `copy ${placeOf(returned)} returned into a record`;
  return votesWrong(node);
}

/** Of an applied put: `need` copies on distinct disks that were voted in the sessions of this moment. */
function votesWrong({ command, applied, parent, view, index }: LogNode): string | null {
  if (command?.kind !== 'commit' || applied?.kind !== 'txn' || parent === null) return null;
  if (applied.outcome.kind !== 'applied' || applied.outcome.index !== index) return null;
  const voted = votesOf(command);
  const current = view.copies.filter(({ disk }) => {
    const session = parent.view.disks.find((known) => known.disk === disk)?.session;
    return voted.some((vote) => vote.disk === disk && vote.session === session);
  });
  const isPut = command.ops[0]?.body.kind === 'put';
  const disks = new Set(current.map(({ disk }) => disk)).size;
  if (!isPut || (disks >= command.need && current.length === view.copies.length)) return null;
  return `an applied write has ${disks} of ${view.copies.length} copies that were voted in a current session, it needs ${command.need}`;
}

const votesOf = ({ ops }: Commit) => (ops[0]?.body.kind === 'put' ? ops[0].body.copies : []);

export const copyAt = (disk: DiskId, number: number): Held => ({ disk, copyId: copy(number) });

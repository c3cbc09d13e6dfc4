/**
 * A storm over Raft cores: losses, doubles, delays, crashes and partitions in a schedule drawn from one
 * seed, then calm, in which the cluster must work again. RaftCluster checks safety at each step. The
 * same seed gives the same storm.
 */
import { assert } from '../common/assert.ts';
import { nodeId } from '../common/ids.ts';
import { type Random, seededRandom } from '../common/random.ts';
import { RaftCluster } from './raft-cluster.ts';

const STEPS = 500;

/** How often each action happens, before the seed makes some of them rarer and some more frequent. */
const WEIGHTS = {
  tick: 300,
  sync: 400,
  propose: 80,
  read: 60,
  flush: 40,
  compact: 30,
  crash: 10,
  toggleLink: 10,
  clogLink: 8,
  isolate: 4,
  split: 6,
  rush: 6,
  heal: 26,
  hint: 15,
} as const;
type Action = keyof typeof WEIGHTS;
/** Storms differ in kind, not only in order: each seed draws one of these for each action. */
const FACTORS = [0.25, 1, 1, 4];
/** Ticks at once, at most: with many of them elections overlap. */
const TICK_BURSTS = [1, 1, 4, 12];
const RESTART_ODDS = [2, 10];

class Storm {
  readonly cluster: RaftCluster;
  readonly #random: Random;
  readonly #size: number;
  readonly #weights: readonly (readonly [Action, number])[];
  readonly #weightSum: number;
  readonly #tickBurst: number;
  readonly #restartOdds: number;
  /** Links that lose everything. */
  readonly #blocked = new Set<string>();
  /** Links that deliver nothing for now, and everything later. */
  readonly #clogged = new Set<string>();
  #counter = 0;

  constructor(seed: number, size: number) {
    this.#random = seededRandom(seed);
    this.#size = size;
    this.cluster = new RaftCluster({
      size,
      randomBelow: (_node, bound) => this.#random.below(bound),
    });
    this.#weights = entriesOf(WEIGHTS).map(([action, weight]) => [
      action,
      Math.ceil(weight * this.#pick(FACTORS)),
    ]);
    this.#weightSum = this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
    this.#tickBurst = this.#pick(TICK_BURSTS);
    this.#restartOdds = this.#pick(RESTART_ODDS);
  }

  step(): void {
    const { cluster } = this;
    const id = 1 + this.#random.below(this.#size);
    if (cluster.node(id).core !== null) this.#act(id);
    else if (this.#random.below(this.#restartOdds) === 0) cluster.start(id);
    this.#moveMessages();
  }

  #act(id: number): void {
    const { cluster } = this;
    const actions: Readonly<Record<Action, () => void>> = {
      tick: () => this.#tick(id, 1 + this.#random.below(this.#tickBurst)),
      sync: () => cluster.sync(id, 1 + this.#random.below(3)),
      propose: () => cluster.propose(id, this.#next(), `v${this.#counter}`),
      read: () => cluster.read(id, this.#next()),
      flush: () => cluster.flush(id),
      compact: () => cluster.compact(id),
      crash: () => this.#crash(id),
      toggleLink: () => this.#toggle(this.#blocked),
      clogLink: () => this.#toggle(this.#clogged),
      isolate: () => this.#separate(new Set([id])),
      split: () => this.#split(),
      rush: () => this.#rush(),
      heal: () => this.#healLinks(),
      hint: () => this.#hint(id),
    };
    let dice = this.#random.below(this.#weightSum);
    for (const [action, weight] of this.#weights) {
      if (dice < weight) {
        actions[action]();
        return;
      }
      dice -= weight;
    }
  }

  /** All faults end; the cluster must elect a leader, agree, and take a write. */
  heal(): void {
    const { cluster } = this;
    this.#healLinks();
    for (let id = 1; id <= this.#size; id += 1) {
      if (cluster.node(id).core === null) cluster.start(id);
    }
    for (let round = 0; round < 200 && !this.#isQuiet(round); round += 1) this.#calmRound();
    const leader = cluster.leader();
    assert(leader > 0, 'somebody leads after the storm');
    cluster.propose(leader, this.#next(), 'after the storm');
    for (let id = 1; id <= this.#size; id += 1) cluster.read(id, this.#next());
    for (let round = 0; round < 10; round += 1) this.#calmRound();
    assert(cluster.commands().at(-1) === 'after the storm', 'writes go on after the storm');
    const indexes = cluster.running.map((node) => node.applied.index);
    assert(new Set(indexes).size === 1, 'all have applied the same');
    assert(!cluster.running.some((node) => node.disk.recovering), 'nobody recovers for ever');
    const answers = cluster.outcomes.slice(-this.#size);
    assert(answers.length === this.#size, 'every read is answered');
    for (const { kind } of answers) assert(kind === 'read', 'no read is lost after the storm');
  }

  /** A leader has been there for a while and everybody has all of its log. */
  #isQuiet(round: number): boolean {
    const leader = this.cluster.leader();
    if (round < 25 || leader === 0) return false;
    const { peers, commit, lastIndex } = this.cluster.core(leader).status();
    return commit === lastIndex && peers.every((peer) => peer.match === lastIndex);
  }

  #tick(id: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.cluster.core(id).tick();
      this.cluster.collect(id);
    }
  }

  #crash(id: number): void {
    const { cluster } = this;
    cluster.crash(id, this.#random.below(cluster.node(id).writes.length + 1));
    // A majority of recovering nodes elects nobody, by design: at most a minority loses its log.
    const recovering = [...cluster.nodes.values()].filter((node) => node.disk.recovering).length;
    if (recovering < Math.floor((this.#size - 1) / 2) && this.#random.below(6) === 0) {
      cluster.loseLog(id, this.#random.below(cluster.node(id).disk.entries.length + 1));
    }
    for (const node of cluster.running) {
      if (this.#random.below(2) === 0) continue;
      node.core?.connectionClosed(nodeId(id));
      node.core?.peerUnreachable(nodeId(id));
      cluster.collect(node.id);
    }
  }

  #hint(id: number): void {
    const other = nodeId(1 + this.#random.below(this.#size));
    const core = this.cluster.core(id);
    const dice = this.#random.below(5);
    if (dice === 0) core.transferLeadership(this.#random.below(2) === 0 ? nodeId(0) : other);
    else if (dice === 1) core.connectionClosed(other);
    else if (dice === 2) core.connectionOpened();
    else core.peerUnreachable(other);
    this.cluster.collect(id);
  }

  #toggle(links: Set<string>): void {
    const from = 1 + this.#random.below(this.#size);
    const to = 1 + this.#random.below(this.#size);
    const link = `${from}>${to}`;
    if (!links.delete(link)) links.add(link);
  }

  #healLinks(): void {
    this.#blocked.clear();
    this.#clogged.clear();
  }

  #split(): void {
    const side = new Set<number>();
    for (let id = 1; id <= this.#size; id += 1) if (this.#random.below(2) === 0) side.add(id);
    this.#separate(side);
  }

  /** Nobody on this side hears the others, nor they them. */
  #separate(side: ReadonlySet<number>): void {
    for (let from = 1; from <= this.#size; from += 1) {
      for (let to = 1; to <= this.#size; to += 1) {
        if (side.has(from) !== side.has(to)) this.#blocked.add(`${from}>${to}`);
      }
    }
  }

  /** All time out at about the same moment: campaigns of one term meet. */
  #rush(): void {
    for (const node of this.cluster.running) this.#tick(node.id, 8 + this.#random.below(12));
  }

  /** A few messages at random: delivered out of order, doubled or lost. */
  #moveMessages(): void {
    const { wire, transfers } = this.cluster;
    for (let count = 0; count < 6 && wire.length > 0; count += 1) {
      const first = this.#random.below(3) === 0 ? this.#random.below(wire.length) : 0;
      const at = wire.findIndex(
        ({ from, to }, i) => i >= first && !this.#clogged.has(`${from}>${to}`),
      );
      const message = wire[at];
      if (message === undefined) break;
      const fate = this.#random.below(30);
      if (fate > 0) wire.splice(at, 1);
      if (fate === 1 || this.#blocked.has(`${message.from}>${message.to}`)) continue;
      this.cluster.deliver(message);
    }
    const transfer = this.#random.below(8) === 0 ? transfers.shift() : undefined;
    if (transfer === undefined) return;
    this.cluster.finishTransfer(transfer, this.#random.below(3) > 0);
  }

  #calmRound(): void {
    const { cluster } = this;
    for (const node of cluster.running) {
      cluster.sync(node.id);
      this.#tick(node.id, 1);
    }
    for (let hop = 0; hop < 4; hop += 1) {
      for (const message of cluster.wire.splice(0)) cluster.deliver(message);
      for (const transfer of cluster.transfers.splice(0)) cluster.finishTransfer(transfer, true);
      for (const node of cluster.running) cluster.sync(node.id);
    }
  }

  #pick(values: readonly number[]): number {
    return values[this.#random.below(values.length)] ?? 1;
  }

  #next(): number {
    this.#counter += 1;
    return this.#counter;
  }
}

/** One storm, and the cluster that came through it. @throws where safety or liveness broke: `cause`. */
export function survive(seed: number, size: number): RaftCluster {
  const storm = new Storm(seed, size);
  try {
    for (let step = 0; step < STEPS; step += 1) storm.step();
    storm.heal();
  } catch (cause) {
    throw new Error(`seed ${seed}, ${size} nodes`, { cause });
  }
  return storm.cluster;
}

const entriesOf = (weights: Readonly<Record<Action, number>>): readonly [Action, number][] =>
  Object.entries(weights) as [Action, number][];

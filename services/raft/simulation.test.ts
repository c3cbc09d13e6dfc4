/**
 * Goal: no schedule of losses, doubles, delays, crashes and partitions breaks safety, and every one
 * ends in a working cluster once the faults stop. Method: seeded random schedules over the cores;
 * RaftCluster checks safety at each step. A failing seed is printed and replays exactly.
 */
import { describe, expect, test } from '@jest/globals';
import { nodeId } from '../common/ids.ts';
import { type Random, seededRandom } from '../common/random.ts';
import { RaftCluster } from '../testing/raft-cluster.ts';

const SEEDS = Number(process.env['RAFT_SEEDS'] ?? 300);
const FIRST_SEED = Number(process.env['RAFT_FIRST_SEED'] ?? 1);
const STEPS = 500;

class Storm {
  readonly cluster: RaftCluster;
  readonly #random: Random;
  readonly #size: number;
  readonly #blocked = new Set<string>();
  #counter = 0;

  constructor(seed: number, size: number) {
    this.#random = seededRandom(seed);
    this.#size = size;
    this.cluster = new RaftCluster({
      size,
      randomBelow: (_node, bound) => this.#random.below(bound),
    });
  }

  step(): void {
    const { cluster } = this;
    const id = 1 + this.#random.below(this.#size);
    if (cluster.node(id).core !== null) this.#act(id);
    else if (this.#random.below(10) === 0) cluster.start(id);
    this.#moveMessages();
  }

  /** One of the actions, as often as its weight of 1000 says. */
  #act(id: number): void {
    const { cluster } = this;
    const actions: readonly (readonly [number, () => void])[] = [
      [300, () => this.#tick(id)],
      [400, () => cluster.sync(id, 1 + this.#random.below(3))],
      [80, () => cluster.propose(id, this.#next(), `v${this.#counter}`)],
      [60, () => cluster.read(id, this.#next())],
      [40, () => cluster.flush(id)],
      [30, () => cluster.compact(id)],
      [10, () => this.#crash(id)],
      [10, () => this.#toggleLink()],
      [4, () => this.#isolate(id)],
      [26, () => this.#blocked.clear()],
      [15, () => this.#hint(id)],
    ];
    let dice = this.#random.below(1000);
    for (const [weight, action] of actions) {
      if (dice < weight) {
        action();
        return;
      }
      dice -= weight;
    }
  }

  /** All faults end; the cluster must elect a leader, agree, and take a write. */
  heal(): void {
    const { cluster } = this;
    this.#blocked.clear();
    for (let id = 1; id <= this.#size; id += 1) {
      if (cluster.node(id).core === null) cluster.start(id);
    }
    for (let round = 0; round < 200 && !this.#isQuiet(round); round += 1) this.#calmRound();
    const leader = cluster.leader();
    expect(leader).toBeGreaterThan(0);
    cluster.propose(leader, this.#next(), 'after the storm');
    for (let id = 1; id <= this.#size; id += 1) cluster.read(id, this.#next());
    for (let round = 0; round < 10; round += 1) this.#calmRound();
    expect(cluster.commands().at(-1)).toBe('after the storm');
    const indexes = cluster.running.map((node) => node.applied.index);
    expect(new Set(indexes).size).toBe(1);
    expect(cluster.running.every((node) => !node.disk.recovering)).toBe(true);
    const answered = cluster.outcomes.slice(-this.#size).map((outcome) => outcome.kind);
    expect(answered).toEqual(Array.from({ length: this.#size }, () => 'read'));
  }

  /** A leader has been there for a while and everybody has all of its log. */
  #isQuiet(round: number): boolean {
    const leader = this.cluster.leader();
    if (round < 25 || leader === 0) return false;
    const { peers, commit, lastIndex } = this.cluster.core(leader).status();
    return commit === lastIndex && peers.every((peer) => peer.match === lastIndex);
  }

  #tick(id: number): void {
    this.cluster.core(id).tick();
    this.cluster.collect(id);
  }

  #crash(id: number): void {
    const { cluster } = this;
    cluster.crash(id, this.#random.below(cluster.node(id).writes.length + 1));
    // A majority of recovering nodes elects nobody, by design: at most a minority loses its log.
    const recovering = [...cluster.nodes.values()].filter((node) => node.disk.recovering).length;
    if (recovering < (this.#size - 1) / 2 && this.#random.below(6) === 0) {
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
    const dice = this.#random.below(4);
    if (dice === 0) core.transferLeadership(this.#random.below(2) === 0 ? nodeId(0) : other);
    else if (dice === 1) core.connectionClosed(other);
    else core.peerUnreachable(other);
    this.cluster.collect(id);
  }

  #toggleLink(): void {
    const from = 1 + this.#random.below(this.#size);
    const to = 1 + this.#random.below(this.#size);
    const link = `${from}>${to}`;
    if (!this.#blocked.delete(link)) this.#blocked.add(link);
  }

  #isolate(id: number): void {
    for (let other = 1; other <= this.#size; other += 1) {
      this.#blocked.add(`${id}>${other}`);
      this.#blocked.add(`${other}>${id}`);
    }
  }

  /** A few messages at random: delivered out of order, doubled or lost. */
  #moveMessages(): void {
    const { wire, transfers } = this.cluster;
    for (let count = 0; count < 6 && wire.length > 0; count += 1) {
      const at = this.#random.below(3) === 0 ? this.#random.below(wire.length) : 0;
      const message = wire[at];
      if (message === undefined) return;
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
      this.#tick(node.id);
    }
    for (let hop = 0; hop < 4; hop += 1) {
      for (const message of cluster.wire.splice(0)) cluster.deliver(message);
      for (const transfer of cluster.transfers.splice(0)) cluster.finishTransfer(transfer, true);
      for (const node of cluster.running) cluster.sync(node.id);
    }
  }

  #next(): number {
    this.#counter += 1;
    return this.#counter;
  }
}

function survive(seed: number, size: number): RaftCluster {
  const storm = new Storm(seed, size);
  try {
    for (let step = 0; step < STEPS; step += 1) storm.step();
    storm.heal();
  } catch (cause) {
    throw new Error(`seed ${seed}, ${size} nodes`, { cause });
  }
  return storm.cluster;
}

describe('any schedule of faults is safe, and its end is a working cluster', () => {
  test.each([3, 5])('%i nodes', (size) => {
    let commits = 0;
    let terms = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS / 2; seed += 1) {
      const cluster = survive(seed, size);
      commits += cluster.committed.size;
      terms += cluster.leaders.size;
    }
    // The storms are neither so hard that nothing happens nor so mild that one leader lasts.
    expect(commits).toBeGreaterThan(SEEDS * 4);
    expect(terms).toBeGreaterThan(SEEDS / 2);
  });
});

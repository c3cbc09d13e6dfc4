/**
 * Nodes that tell each other what their states are, over a net in memory. The oracle: a node with a
 * state that a majority contradicts stops, a right one never does, and without a majority nothing is
 * served until there is one.
 */
import { describe, expect, test } from '@jest/globals';
import type { KvError } from '../common/errors.ts';
import { type LogIndex, logIndex, type NodeId, nodeId } from '../common/ids.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../common/units.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { noMetrics } from '../testing/coordinator-world.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { ScrubResult } from './metadata-scrub.ts';
import { type AuditedState, StateAudit } from './state-audit.ts';
import type { StateDigest, StateExchange, StateListener } from './state-exchange.ts';

const GOOD = 'a'.repeat(16);
const BAD = 'b'.repeat(16);
const ODD = 'c'.repeat(16);

class Node implements AuditedState, StateExchange {
  readonly node: NodeId;
  readonly audit: StateAudit;
  isTrusted = true;
  othersAgree = (): boolean => false;
  /** What its disk holds is what it applied. */
  isSound = true;
  isUp = true;
  scrubs = 0;
  told = 0;
  ended: { readonly code: string; readonly isReplaceable: boolean } | null = null;
  listener: StateListener | null = null;
  #applied = logIndex(0);
  readonly #net: Net;
  #digestListener: (digest: StateDigest) => void = () => undefined;
  #installedListener: () => void = () => undefined;

  constructor(net: Net, node: NodeId, voters: readonly NodeId[]) {
    this.#net = net;
    this.node = node;
    const { audit: metrics } = noMetrics;
    this.audit = new StateAudit(
      { clock: net.clock, logger: silentLogger, state: this, exchange: this, metrics },
      { self: node, voters, scrubEveryMs: HOUR_MS },
    );
    this.audit.start();
  }

  /** Applies up to an index at which states are compared. */
  apply(index: number, digest: string): void {
    this.#applied = logIndex(index);
    this.#digestListener({ index: this.#applied, digest });
  }

  install(index: number): void {
    this.#applied = logIndex(index);
    this.#installedListener();
  }

  onDigest(listener: (digest: StateDigest) => void): void {
    this.#digestListener = listener;
  }

  onInstalled(listener: () => void): void {
    this.#installedListener = listener;
  }

  async scrub(pace: () => Promise<void>): Promise<ScrubResult> {
    this.scrubs += 1;
    const index: LogIndex = this.#applied;
    await pace();
    return { index, isSound: this.isSound };
  }

  giveUp(error: KvError, isReplaceable: boolean): void {
    this.ended ??= { code: error.code, isReplaceable };
    this.isTrusted = false;
  }

  tellDigest(digest: StateDigest): void {
    this.told += 1;
    this.#net.tell(this, digest);
  }

  listenForDigests(listener: StateListener): void {
    this.listener = listener;
  }
}

class Net {
  readonly clock = new ManualClock();
  readonly nodes: readonly Node[];

  constructor(count = 3) {
    const voters = Array.from({ length: count }, (_, i) => nodeId(i + 1));
    this.nodes = voters.map((node) => new Node(this, node, voters));
  }

  at(n: number): Node {
    const node = this.nodes[n - 1];
    if (node === undefined) throw new Error(`no node ${n}`);
    return node;
  }

  tell(from: Node, digest: StateDigest): void {
    if (!from.isUp) return;
    for (const node of this.nodes) {
      if (node !== from && node.isUp) node.listener?.onDigest(from.node, digest);
    }
  }

  /** Each node's digest at an index; a dot: it does not apply it now. */
  apply(index: number, digests: readonly string[]): void {
    for (const [i, digest] of digests.entries())
      if (digest !== '.') this.at(i + 1).apply(index, digest);
  }

  get ended(): readonly (string | null)[] {
    return this.nodes.map(({ ended }) => ended?.code ?? null);
  }

  get trusted(): readonly boolean[] {
    return this.nodes.map(({ isTrusted }) => isTrusted);
  }
}

const ALL = [true, true, true];

describe('a majority', () => {
  test('with equal states nothing happens', async () => {
    const net = new Net();
    for (const index of [1024, 2048, 3072]) net.apply(index, [GOOD, GOOD, GOOD]);
    await net.clock.advance(MINUTE_MS);
    expect(net.ended).toEqual([null, null, null]);
    expect(net.trusted).toEqual(ALL);
    expect(net.at(1).scrubs).toBe(0);
    expect(net.at(1).audit.agreedIndex).toBe(3072);
  });

  test.each([1, 2, 3])('stops node %i, whose state differs, and lives on', async (odd) => {
    const net = new Net();
    net.apply(1024, [GOOD, GOOD, GOOD]);
    net.apply(
      2048,
      [1, 2, 3].map((n) => (n === odd ? BAD : GOOD)),
    );
    await net.clock.advance(MINUTE_MS);
    expect(net.ended).toEqual([1, 2, 3].map((n) => (n === odd ? 'STATE_DIVERGED' : null)));
    // The others hold a right state, so the next start takes theirs.
    expect(net.at(odd).ended?.isReplaceable).toBe(true);
    expect(net.trusted).toEqual([1, 2, 3].map((n) => n !== odd));
    expect(net.nodes.map(({ scrubs }) => scrubs)).toEqual([0, 0, 0]);
  });

  test('a slow node is judged when it gets there', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, GOOD, '.']);
    net.apply(2048, [GOOD, GOOD, '.']);
    await net.clock.advance(MINUTE_MS);
    expect(net.ended).toEqual([null, null, null]);
    net.at(3).apply(1024, GOOD);
    expect(net.ended[2]).toBeNull();
    net.at(3).apply(2048, BAD);
    expect(net.ended).toEqual([null, null, 'STATE_DIVERGED']);
  });

  test('what was told while a stream was down is told again', async () => {
    const net = new Net();
    net.at(3).isUp = false;
    net.apply(1024, [GOOD, GOOD, BAD]);
    expect(net.ended[2]).toBeNull();
    net.at(3).isUp = true;
    await net.clock.advance(11 * SECOND_MS);
    expect(net.ended).toEqual([null, null, 'STATE_DIVERGED']);
  });

  test('strangers have no say', () => {
    const net = new Net();
    net.apply(1024, [GOOD, '.', '.']);
    for (const stranger of [7, 8, 9]) {
      const digest = { index: logIndex(1024), digest: BAD };
      net.at(1).listener?.onDigest(nodeId(stranger), digest);
    }
    expect(net.ended[0]).toBeNull();
  });

  test('one coordinator alone agrees with itself', async () => {
    const net = new Net(1);
    net.apply(1024, [GOOD]);
    await net.clock.advance(MINUTE_MS);
    expect([net.ended, net.at(1).audit.agreedIndex]).toEqual([[null], 1024]);
  });

  test('what was said of a state that a snapshot has replaced is forgotten', () => {
    const net = new Net();
    net.at(3).apply(1024, BAD);
    net.at(3).install(1500);
    net.apply(1024, [GOOD, GOOD, '.']);
    expect(net.ended[2]).toBeNull();
    net.apply(2048, [GOOD, GOOD, GOOD]);
    expect(net.ended).toEqual([null, null, null]);
  });
});

describe('without a majority', () => {
  const half = (): Net => {
    const net = new Net();
    net.at(3).isUp = false;
    return net;
  };

  test('a third that is only late is waited for before anything is scrubbed', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, BAD, '.']);
    await net.clock.advance(3 * SECOND_MS);
    expect(net.nodes.map(({ scrubs }) => scrubs)).toEqual([0, 0, 0]);
    net.at(3).apply(1024, GOOD);
    await net.clock.advance(MINUTE_MS);
    expect(net.ended).toEqual([null, 'STATE_DIVERGED', null]);
    expect(net.at(1).isTrusted).toBe(true);
  });

  test('the one whose disk does not hold what it applied stops, with its state kept', async () => {
    const net = half();
    net.at(2).isSound = false;
    net.apply(1024, [GOOD, BAD, '.']);
    await net.clock.advance(20 * SECOND_MS);
    // Nobody is known to hold a right state: it is not thrown away.
    expect(net.at(2).ended).toEqual({ code: 'STATE_DIVERGED', isReplaceable: false });
    expect(net.at(1).ended).toBeNull();
  });

  test('where all are sound nothing is served, until a third says who is right', async () => {
    const net = half();
    net.apply(1024, [GOOD, BAD, '.']);
    await net.clock.advance(20 * SECOND_MS);
    expect(net.ended).toEqual([null, null, null]);
    expect(net.trusted).toEqual([false, false, true]);
    expect(net.nodes.map(({ scrubs }) => scrubs)).toEqual([1, 1, 0]);
    net.at(3).isUp = true;
    net.at(3).apply(1024, GOOD);
    await net.clock.advance(20 * SECOND_MS);
    expect(net.ended).toEqual([null, 'STATE_DIVERGED', null]);
    expect(net.trusted).toEqual([true, false, true]);
  });

  test('three states of three nodes: all wait', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, BAD, ODD]);
    await net.clock.advance(MINUTE_MS);
    expect(net.ended).toEqual([null, null, null]);
    expect(net.trusted).toEqual([false, false, false]);
  });

  test('agreement at an older index ends no doubt, at a later one it does', async () => {
    const net = half();
    net.apply(2048, [GOOD, BAD, '.']);
    await net.clock.advance(20 * SECOND_MS);
    expect(net.trusted).toEqual([false, false, true]);
    net.at(3).isUp = true;
    net.apply(1024, [GOOD, '.', GOOD]);
    expect(net.at(1).isTrusted).toBe(false);
    net.apply(3072, [GOOD, '.', GOOD]);
    expect(net.at(1).isTrusted).toBe(true);
  });
});

describe('the scrub', () => {
  test('runs soon after the start and again at intervals, and says nothing where all is well', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, GOOD, GOOD]);
    await net.clock.advance(9 * MINUTE_MS);
    expect(net.at(1).scrubs).toBe(0);
    await net.clock.advance(2 * MINUTE_MS);
    expect(net.at(1).scrubs).toBe(1);
    await net.clock.advance(55 * MINUTE_MS);
    expect(net.at(1).scrubs).toBe(1);
    await net.clock.advance(10 * MINUTE_MS);
    expect(net.at(1).scrubs).toBe(2);
    expect(net.ended).toEqual([null, null, null]);
  }, 20_000);

  test('a node that differs from its own running digest stops; all others having that digest, it is replaced', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, GOOD, GOOD]);
    net.at(2).isSound = false;
    await net.clock.advance(11 * MINUTE_MS);
    expect(net.nodes.map(({ ended }) => ended)).toEqual([
      null,
      { code: 'STATE_DIVERGED', isReplaceable: true },
      null,
    ]);
  });

  test('while one of the others is away it stops and keeps its state', async () => {
    const net = new Net();
    net.apply(1024, [GOOD, GOOD, GOOD]);
    net.at(2).listener?.onPeerClosed(nodeId(3));
    net.at(3).isUp = false;
    net.at(2).isSound = false;
    await net.clock.advance(11 * MINUTE_MS);
    expect(net.at(2).ended).toEqual({ code: 'STATE_DIVERGED', isReplaceable: false });
  });

  test('one coordinator alone never throws its state away', async () => {
    const net = new Net(1);
    net.apply(1024, [GOOD]);
    net.at(1).isSound = false;
    await net.clock.advance(11 * MINUTE_MS);
    expect(net.at(1).ended).toEqual({ code: 'STATE_DIVERGED', isReplaceable: false });
  });

  test('stops with the node', async () => {
    const net = new Net();
    const stopped = net.at(1).audit.stop();
    await net.clock.advance(SECOND_MS);
    await stopped;
    await net.clock.advance(HOUR_MS);
    expect(net.at(1).scrubs).toBe(0);
  });
});

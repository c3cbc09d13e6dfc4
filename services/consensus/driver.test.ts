import { describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { type LogIndex, logIndex, NOBODY, type NodeId, nodeId, term } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { encodeMessage } from '../coordinator/grpc/raft-codec.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { Message } from '../raft/messages.ts';
import { type Entry, type HardState, type LogPoint, NO_POINT } from '../raft/types.ts';
import { RaftFrame, type RaftMessage } from '../rpc/generated/raft.ts';
import { RPC_LIMITS } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryNetwork } from '../testing/memory-transport.ts';
import { TextMachine } from '../testing/text-machine.ts';
import { Driver } from './driver.ts';
import { consensusMetrics } from './metrics.ts';
import type { LogWrite, RaftLog } from './raft-log.ts';
import { SnapshotTransfer } from './snapshot-transfer.ts';

/** A log that keeps what was synced; its owner can be killed and reads it again. */
class MemoryLog implements RaftLog {
  hardState: HardState = { term: term(0), vote: nodeId(0) };
  base: LogPoint = NO_POINT;
  entries: Entry[] = [];
  syncs = 0;

  async write(writes: readonly LogWrite[]): Promise<void> {
    for (const { hardState, truncateFrom, entries } of writes) {
      if (hardState !== null) this.hardState = hardState;
      if (truncateFrom !== null)
        this.entries = this.entries.filter(({ index }) => index < truncateFrom);
      this.entries.push(...entries);
    }
    this.syncs += 1;
  }

  async restart(base: LogPoint): Promise<void> {
    this.base = base;
    this.entries = [];
  }

  async compact(base: LogPoint): Promise<void> {
    this.entries = this.entries.filter(({ index }) => index > base.index);
    this.base = base;
  }

  async setRecovered(): Promise<void> {}
  async close(): Promise<void> {}
}

interface Node {
  readonly id: NodeId;
  readonly driver: Driver;
  readonly machine: TextMachine;
  readonly log: MemoryLog;
  readonly disk: MemoryDisk;
}

class World {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly nodes = new Map<number, Node>();
  readonly #logs = new Map<number, MemoryLog>();
  readonly #machines = new Map<number, TextMachine>();
  readonly fatal: Error[] = [];
  #boots = 0;

  async start(id: number, slackEntries = 10_000): Promise<Node> {
    this.#boots += 1;
    const log = this.#logs.get(id) ?? new MemoryLog();
    this.#logs.set(id, log);
    const machine = this.#machines.get(id) ?? new TextMachine();
    this.#machines.set(id, machine);
    machine.crash();
    const transport = this.network.transport(nodeId(id));
    const disk = new MemoryDisk();
    const parts = { disk, transport, machine, self: nodeId(id) };
    const random = seededRandom(id * 97 + this.#boots);
    const driver = new Driver(
      {
        clock: this.clock,
        logger: silentLogger,
        metrics: consensusMetrics(createMetrics()),
        transport,
        machine,
        log,
        snapshots: await SnapshotTransfer.open(parts, '/snapshots'),
        onFatal: (error) => this.fatal.push(error),
      },
      {
        slackEntries,
        raft: {
          self: nodeId(id),
          voters: [1, 2, 3].map(nodeId),
          bootId: this.#boots,
          heartbeatTicks: 5,
          electionTicksMin: 60,
          randomBelow: (bound) => random.below(bound),
          limits: {
            uncommittedBytesMax: 1 << 26,
            appendBytesMax: 1 << 20,
            inflightMessagesMax: 64,
            inflightBytesMax: 1 << 23,
          },
        },
        initial: {
          hardState: log.hardState,
          base: log.base,
          entries: [...log.entries],
          applied: machine.applied.index,
          recovering: false,
        },
      },
    );
    driver.start();
    const node = { id: nodeId(id), driver, machine, log, disk };
    this.nodes.set(id, node);
    return node;
  }

  /** Entries that all flush soon, over so many tenths of a second. */
  async write({ driver }: Node, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      driver.propose(bytes(`s${i}`), ignore);
      await this.clock.advance(100);
      await this.flush();
    }
  }

  async kill(id: number): Promise<void> {
    this.nodes.delete(id);
    this.network.remove(nodeId(id));
  }

  async leader(): Promise<Node> {
    for (let i = 0; i < 500; i += 1) {
      await this.clock.advance(10);
      const leaders = [...this.nodes.values()].filter(
        ({ driver }) => driver.status().role === 'leader',
      );
      const newest = leaders.sort((a, b) => b.driver.status().term - a.driver.status().term)[0];
      if (newest !== undefined) return newest;
    }
    throw new Error('no leader');
  }

  /** Every state machine flushes what its log allows. */
  async flush(): Promise<void> {
    for (const { machine } of this.nodes.values()) await machine.flush();
  }

  texts(): (readonly string[])[] {
    return [...this.nodes.values()].map(({ machine }) => machine.texts);
  }
}

async function three(): Promise<World> {
  const world = new World();
  for (const id of [1, 2, 3]) await world.start(id);
  return world;
}

const ignore = (): void => {};
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** Three nodes with a slack of five entries, of which one follower has died between so many entries. */
async function oneAway(
  before: number,
  since: number,
): Promise<{ world: World; leader: Node; late: number }> {
  const world = new World();
  for (const id of [1, 2, 3]) await world.start(id, 5);
  const leader = await world.leader();
  await world.write(leader, before);
  const late = [...world.nodes.keys()].find((id) => id !== leader.id) ?? 0;
  await world.kill(late);
  await world.write(leader, since);
  return { world, leader, late };
}

describe('three drivers', () => {
  test('that start anew have a leader long before the shortest patient timeout', async () => {
    const world = await three();
    await world.clock.advance(300);
    const leaders = [...world.nodes.values()].map(({ driver }) => driver.leader);
    expect(new Set(leaders).size).toBe(1);
    expect(leaders[0]).not.toBe(0);
  });

  test('apply what any of them proposes, with one sync for many proposals of a turn', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(200);
    const before = leader.log.syncs;
    for (let i = 0; i < 100; i += 1) leader.driver.propose(bytes(`a${i}`), ignore);
    await world.clock.advance(100);
    expect(leader.log.syncs - before).toBeLessThanOrEqual(2);
    const follower = [...world.nodes.values()].find(({ id }) => id !== leader.id);
    follower?.driver.propose(bytes('from a follower'), ignore);
    await world.clock.advance(200);
    for (const texts of world.texts()) {
      expect(texts).toHaveLength(101);
      expect(texts.at(-1)).toBe('from a follower');
    }
    expect(world.fatal).toEqual([]);
  });

  test('much that a follower proposes in one turn is forwarded in messages that the wire takes', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(200);
    const follower = [...world.nodes.values()].find(({ id }) => id !== leader.id);
    const messages: RaftMessage[] = [];
    world.network.onSend = (message) => {
      if (message.kind === 'propose') messages.push(encodeMessage(message));
    };
    // 5 MiB, as values by the thousand whose keys and headers are long.
    const texts = Array.from({ length: 1700 }, (_, i) => String(i).padEnd(3 * 1024, '.'));
    for (const text of texts) follower?.driver.propose(bytes(text), ignore);
    await world.clock.advance(300);
    const frames = messages.map((message) => {
      const frame = { hello: undefined, messages: [message], digests: [] };
      return RaftFrame.encode(frame).finish().length;
    });
    expect(Math.max(...frames)).toBeLessThan(RPC_LIMITS.messageBytesMax / 2);
    for (const applied of world.texts()) expect(applied).toEqual(texts);
  });

  test('a killed leader is replaced at once, by the hint of its closed links', async () => {
    const world = await three();
    const old = await world.leader();
    old.driver.propose(bytes('kept'), ignore);
    await world.clock.advance(200);
    await world.kill(old.id);
    const startMs = world.clock.monotonicMs();
    const next = await world.leader();
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(200);
    expect(next.id).not.toBe(old.id);
    await world.start(old.id);
    await world.clock.advance(1000);
    expect(world.texts()).toEqual([['kept'], ['kept'], ['kept']]);
  });

  test('a linearizable read waits for what was acknowledged before it', async () => {
    const world = await three();
    const leader = await world.leader();
    leader.driver.propose(bytes('x'), ignore);
    await world.clock.advance(100);
    for (const { driver, machine } of world.nodes.values()) {
      const reading = driver.readBarrier(1000);
      await world.clock.advance(300);
      const index = await reading;
      expect(machine.applied.index).toBeGreaterThanOrEqual(index);
      expect(machine.texts).toEqual(['x']);
      expect(driver.caughtUp()).toBe(true);
    }
  });

  test('without a majority reads end with NO_LEADER and proposals are never applied', async () => {
    const world = await three();
    const leader = await world.leader();
    for (const { id } of [...world.nodes.values()]) if (id !== leader.id) await world.kill(id);
    const reading = leader.driver.readBarrier(2000).catch((error: { code: string }) => error.code);
    leader.driver.propose(bytes('lost'), ignore);
    await world.clock.advance(5000);
    expect(await reading).toBe('NO_LEADER');
    expect(leader.machine.texts).toEqual([]);
  });

  test('who waits for a leader hears of the next one, or that there is none in time', async () => {
    const world = await three();
    const old = await world.leader();
    await world.clock.advance(200);
    await world.kill(old.id);
    const [one] = [...world.nodes.values()];
    for (let i = 0; i < 100 && one?.driver.status().leader !== NOBODY; i += 1) {
      await world.clock.advance(1);
    }
    const waiting = one?.driver.awaitLeader(1000).then(() => one.driver.status().leader);
    await world.clock.advance(900);
    expect(await waiting).toBe((await world.leader()).id);
    await one?.driver.awaitLeader(0);

    const last = await world.leader();
    for (const { id } of [...world.nodes.values()]) if (id !== last.id) await world.kill(id);
    await world.clock.advance(2000);
    const inVain = last.driver.awaitLeader(500).catch((error: { code: string }) => error.code);
    await world.clock.advance(700);
    expect(await inVain).toBe('NO_LEADER');
    const stopped = last.driver.awaitLeader(500).catch((error: { code: string }) => error.code);
    await last.driver.stop();
    expect(await stopped).toBe('STOPPING');
  });

  test('a follower that the log cannot help gets a snapshot', async () => {
    const { world, leader, late } = await oneAway(0, 150);
    expect(leader.driver.status().baseIndex).toBeGreaterThan(100);
    const back = await world.start(late, 5);
    await world.clock.advance(5000);
    expect(back.machine.texts).toEqual(leader.machine.texts);
    expect(back.log.base.index).toBeGreaterThan(0);
    expect(world.fatal).toEqual([]);
  });

  test('a follower that was away for more than the slack finds the log whole', async () => {
    const { world, leader, late } = await oneAway(20, 40);
    const back = await world.start(late, 5);
    await world.clock.advance(2000);
    expect(back.machine.texts).toEqual(leader.machine.texts);
    expect(back.log.base.index).toBeLessThan(20);
    // Nobody is waited for any more.
    await world.write(leader, 20);
    expect(leader.driver.status().baseIndex).toBeGreaterThan(60);
  });

  test('a follower that takes longer to install a snapshot than the slack lasts needs no second one', async () => {
    const { world, leader, late } = await oneAway(0, 150);
    let captured = 0;
    const { machine } = leader;
    const openSnapshot = machine.openSnapshot.bind(machine);
    machine.openSnapshot = () => {
      captured += 1;
      return openSnapshot();
    };
    const back = await world.start(late, 5);
    const installed = Promise.withResolvers<undefined>();
    const install = back.machine.installSnapshot.bind(back.machine);
    back.machine.installSnapshot = async (point, chunks) => {
      await installed.promise;
      await install(point, chunks);
    };
    await world.clock.advance(2000);
    await world.write(leader, 40);
    installed.resolve(undefined);
    await world.clock.advance(2000);
    expect(back.machine.texts).toEqual(leader.machine.texts);
    expect(captured).toBe(1);
    expect(world.fatal).toEqual([]);
  });

  test('R20: a confirmed read waits until its index is applied here', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(200);
    const [reader, other] = [...world.nodes.values()].filter(({ id }) => id !== leader.id);
    // Of the leader's messages to the reader only answers to reads arrive: it learns the index first.
    world.network.isLost = (message) =>
      message.to === reader!.id && message.kind !== 'read-reply' && message.kind !== 'vote-request';
    leader.driver.propose(bytes('x'), ignore);
    await world.clock.advance(50);
    expect(other!.machine.texts).toEqual(['x']);
    let seen: readonly string[] | null = null;
    const reading = reader!.driver
      .readBarrier(5000)
      .then(() => (seen = [...reader!.machine.texts]));
    await world.clock.advance(100);
    expect(seen).toBeNull();
    world.network.isLost = () => false;
    await world.clock.advance(300);
    await reading;
    expect(seen).toEqual(['x']);
  });

  test('R39: a stall of the event loop, however long, deposes nobody', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(500);
    const { term: before } = leader.driver.status();
    for (const stallMs of [700, 3000, 30_000]) {
      world.clock.stall(stallMs);
      await world.clock.advance(500);
      for (const { driver } of world.nodes.values()) {
        expect(driver.status()).toMatchObject({ leader: leader.id, term: before });
      }
    }
  });

  test('leadership moves when asked', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(300);
    const moving = leader.driver.transferLeadership(nodeId(0), 2000);
    await world.clock.advance(500);
    expect(await moving).not.toBe(leader.id);
  });

  test('leadership goes to nobody who is stopping too, and where all are it says so at once', async () => {
    const world = await three();
    const leader = await world.leader();
    const [first, last] = [...world.nodes.values()].filter(({ id }) => id !== leader.id);
    first?.driver.beginStop();
    await world.clock.advance(100);
    const moving = leader.driver.transferLeadership(nodeId(0), 2000);
    await world.clock.advance(100);
    await expect(moving).resolves.toBe(last?.id);
    leader.driver.beginStop();
    await world.clock.advance(100);
    const failing = last?.driver.transferLeadership(nodeId(0), 2000);
    const said = expect(failing).rejects.toMatchObject({
      code: 'TRANSFER_FAILED',
      message: 'no other coordinator goes on',
    });
    await world.clock.advance(50);
    await said;
  });

  test('who stops does not wait long for a next leader once it leads no more', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(300);
    // Whoever is asked to lead gets no vote, as if it had been told to stop meanwhile.
    world.network.isLost = ({ kind }) => kind === 'vote-reply';
    leader.driver.beginStop();
    const startedMs = world.clock.monotonicMs();
    const moving = leader.driver.transferLeadership(nodeId(0), 2000);
    const endedMs = moving.catch(() => world.clock.monotonicMs());
    await world.clock.advance(2000);
    await expect(moving).rejects.toMatchObject({ code: 'TRANSFER_FAILED' });
    expect(Number(await endedMs) - startedMs).toBeLessThan(700);
    expect(leader.driver.status().role).toBe('follower');
  });

  test('a leader whose sync hangs while both followers are well leads on, and catches up', async () => {
    const world = await three();
    const leader = await world.leader();
    await world.clock.advance(200);
    const release = holdWrites(leader.log);
    const texts = Array.from({ length: 3000 }, (_, i) => `t${i}`);
    for (const [i, text] of texts.entries()) {
      leader.driver.propose(bytes(text), ignore);
      if (i % 10 === 0) await world.clock.advance(1);
      else await world.clock.flush();
    }
    await world.clock.advance(100);
    expect(world.fatal).toEqual([]);
    for (const applied of world.texts()) expect(applied).toEqual(texts);
    expect(leader.driver.status().role).toBe('leader');
    const held = leader.log.entries.length;
    expect(held).toBeLessThan(10);
    // What is applied is not flushed before the own log holds it.
    await leader.machine.flush();
    expect(leader.machine.flushed.index).toBeLessThan(10);
    release();
    await world.clock.advance(100);
    expect(leader.log.entries).toHaveLength(leader.driver.status().lastIndex);
    await leader.machine.flush();
    expect(leader.machine.flushed.index).toBe(leader.driver.status().lastIndex);
    expect(leader.driver.status()).toMatchObject({ role: 'leader' });
    expect(world.fatal).toEqual([]);
  });

  test('a log that cannot be written stops the node', async () => {
    const world = await three();
    const leader = await world.leader();
    leader.log.write = () => Promise.reject(new Error('disk gone'));
    leader.driver.propose(bytes('x'), ignore);
    await world.clock.advance(100);
    expect(world.fatal.map(({ message }) => message)).toEqual(['disk gone']);
    await expect(leader.driver.readBarrier(10)).rejects.toMatchObject({ code: 'STOPPING' });
  });
});

/** Writes of the log wait until the answered function is called. */
function holdWrites(log: MemoryLog): () => void {
  const held = Promise.withResolvers<undefined>();
  const write = log.write.bind(log);
  log.write = async (writes) => {
    await held.promise;
    await write(writes);
  };
  return () => held.resolve(undefined);
}

describe('who waits on a driver that has ended', () => {
  const late = (driver: Driver): Promise<string> =>
    driver.waitApplied(logIndex(999), 60_000).then(
      () => 'applied',
      (error: { code: string }) => error.code,
    );

  test('for an index is told at once, also where the wait began before', async () => {
    const world = await three();
    const leader = await world.leader();
    const before = late(leader.driver);
    await leader.driver.stop();
    expect(await before).toBe('STOPPING');
    expect(await late(leader.driver)).toBe('STOPPING');
    await leader.driver.waitApplied(leader.machine.applied.index, 0);
  });

  test('by an error is told the same', async () => {
    const world = await three();
    const leader = await world.leader();
    leader.log.write = () => Promise.reject(new Error('disk gone'));
    leader.driver.propose(bytes('x'), ignore);
    await world.clock.advance(100);
    expect(world.fatal).toHaveLength(1);
    expect(await late(leader.driver)).toBe('STOPPING');
  });
});

describe('a follower', () => {
  const entry = (index: number, inTerm: number, text: string): Entry => ({
    index: logIndex(index),
    term: term(inTerm),
    kind: 'command',
    data: bytes(text),
  });
  const append = (inTerm: number, entries: readonly Entry[], commit: number): Message => ({
    kind: 'append-request',
    from: nodeId(1),
    to: nodeId(2),
    term: term(inTerm),
    fromBoot: 1,
    toBoot: 1,
    previous: entries[0]?.index === 1 ? NO_POINT : { index: logIndex(1), term: term(1) },
    entries,
    commit: logIndex(commit),
    lastIndex: logIndex(2),
  });

  test('S1: answers neither a vote nor an append before what it promises is on disk', async () => {
    const world = new World();
    const { log } = await world.start(2);
    const heard: Message[] = [];
    const peer = world.network.transport(nodeId(1));
    peer.listen({
      // Its request for a first read promises nothing and may leave at any time.
      onMessages: (messages) =>
        void heard.push(...messages.filter(({ kind }) => kind !== 'read-request')),
      onOpened: ignore,
      onClosed: ignore,
      onSnapshotChunk: () => Promise.reject(new Error('no snapshot here')),
    });
    const kinds = (): string[] => [...new Set(heard.map(({ kind }) => kind))];
    const release = holdWrites(log);
    peer.send([append(1, [entry(1, 1, 'one')], 0)]);
    await world.clock.advance(20);
    expect(kinds()).toEqual([]);
    release();
    await world.clock.advance(20);
    expect(kinds()).toEqual(['append-reply']);

    heard.length = 0;
    const releaseVote = holdWrites(log);
    const envelope = { from: nodeId(1), to: nodeId(2), term: term(9), fromBoot: 1, toBoot: 1 };
    const last = { index: logIndex(1), term: term(1) };
    const flags = { pre: false, transfer: true, leaderSuspected: false };
    peer.send([{ kind: 'vote-request', ...envelope, last, ...flags }]);
    await world.clock.advance(20);
    expect(kinds()).toEqual([]);
    releaseVote();
    await world.clock.advance(20);
    expect(heard).toMatchObject([{ kind: 'vote-reply', granted: true }]);
    expect(log.hardState).toEqual({ term: 9, vote: 1 });
  });

  test('throws away what a sender had begun that another node has replaced as leader', async () => {
    const world = new World();
    const { disk } = await world.start(2);
    const peer = world.network.transport(nodeId(1));
    peer.listen({
      onMessages: ignore,
      onOpened: ignore,
      onClosed: ignore,
      onSnapshotChunk: () => Promise.reject(new Error('no snapshot here')),
    });
    await peer.sendSnapshotChunk({
      from: nodeId(3),
      to: nodeId(2),
      term: 1,
      point: { index: logIndex(7), term: term(1) },
      totalBytes: 10,
      fileCrc: 0,
      offset: 0,
      data: bytes('half'),
    });
    expect(disk.files()).toHaveLength(1);
    peer.send([append(2, [entry(1, 2, 'one')], 0)]);
    await world.clock.advance(20);
    expect(disk.files()).toEqual([]);
    expect(world.fatal).toEqual([]);
  });

  test('never flushes an applied entry whose place on disk still holds a voided one', async () => {
    const world = new World();
    const { machine, log } = await world.start(2);
    const leader = world.network.transport(nodeId(1));
    leader.listen({
      onMessages: ignore,
      onOpened: ignore,
      onClosed: ignore,
      onSnapshotChunk: () => Promise.reject(new Error('no snapshot here')),
    });
    leader.send([append(1, [entry(1, 1, 'one'), entry(2, 1, 'voided')], 1)]);
    await world.clock.advance(20);
    expect(log.entries).toHaveLength(2);
    // From here on the disk is slow: the successor is committed elsewhere before it is durable here.
    const release = holdWrites(log);
    leader.send([append(2, [entry(2, 2, 'successor')], 2)]);
    await world.clock.advance(20);
    expect(machine.texts).toEqual(['one', 'successor']);
    await machine.flush();
    expect(machine.flushed.index).toBeLessThan(2);
    release();
    await world.clock.advance(20);
    await machine.flush();
    expect(machine.flushed.index).toBe(2);
  });
});

describe('SnapshotTransfer', () => {
  test('resumes, and refuses a snapshot that arrived damaged', async () => {
    const disk = new MemoryDisk();
    const network = new MemoryNetwork(new ManualClock());
    const machine = new TextMachine();
    const parts = { disk, transport: network.transport(nodeId(1)), machine, self: nodeId(1) };
    const transfer = await SnapshotTransfer.open(parts, '/snapshots');
    const whole = bytes('a whole snapshot');
    const chunk = (offset: number, end: number, fileCrc = crc32(whole)) => ({
      from: nodeId(2),
      to: nodeId(1),
      term: 3,
      point: { index: 7 as LogIndex, term: term(2) },
      totalBytes: whole.length,
      fileCrc,
      offset,
      data: whole.subarray(offset, end),
    });
    expect(await transfer.receive(chunk(0, 5))).toEqual({ heldBytes: 5, staged: false });
    expect(await transfer.receive(chunk(9, 12))).toEqual({ heldBytes: 5, staged: false });
    expect(await transfer.receive(chunk(5, whole.length))).toEqual({
      heldBytes: whole.length,
      staged: true,
    });
    await transfer.discard();
    await expect(transfer.receive(chunk(0, whole.length, 1))).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
  });
});

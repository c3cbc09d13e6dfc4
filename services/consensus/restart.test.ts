/** Three drivers on real logs over disks that crash: what a node is after it comes back. */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { nodeId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryNetwork } from '../testing/memory-transport.ts';
import { TextMachine } from '../testing/text-machine.ts';
import { Driver } from './driver.ts';
import { LogStore } from './log-store.ts';
import { consensusMetrics } from './metrics.ts';
import { SnapshotTransfer } from './snapshot-transfer.ts';

const VOTERS = [1, 2, 3].map(nodeId);
const LIMITS = {
  uncommittedBytesMax: 1 << 20,
  appendBytesMax: 1 << 16,
  inflightMessagesMax: 16,
  inflightBytesMax: 1 << 20,
};
const LOG = '/raft/log/000000000001.log';

interface Life {
  readonly driver: Driver;
  readonly recoveringAtStart: boolean;
}

class World {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly disks = new Map(VOTERS.map((id) => [id as number, new MemoryDisk()]));
  readonly machines = new Map(VOTERS.map((id) => [id as number, new TextMachine()]));
  readonly lives = new Map<number, Life>();
  readonly fatal: Error[] = [];
  readonly slackEntries: number;
  readonly #members = new Set<number>();
  #boots = 0;

  constructor(slackEntries = 10_000) {
    this.slackEntries = slackEntries;
  }

  disk(id: number): MemoryDisk {
    return this.disks.get(id)!;
  }

  machine(id: number): TextMachine {
    return this.machines.get(id)!;
  }

  async start(id: number): Promise<Life> {
    this.#boots += 1;
    const random = seededRandom(id * 31 + this.#boots);
    const [disk, machine] = [this.disk(id), this.machine(id)];
    const { clock } = this;
    const transport = this.network.transport(nodeId(id));
    const metrics = consensusMetrics(createMetrics());
    const parts = { disk, clock, random, logger: silentLogger, metrics };
    const log = await LogStore.open(parts, {
      path: '/raft',
      segmentBytes: 2000,
      isMember: this.#members.has(id),
    });
    this.#members.add(id);
    await log.align(machine.flushed, machine.installed);
    const recoveringAtStart = log.recovering;
    const snapshots = await SnapshotTransfer.open(
      { disk, transport, machine, self: nodeId(id) },
      '/snapshots',
    );
    const onFatal = (error: Error): void => void this.fatal.push(error);
    const driver = new Driver(
      { ...parts, transport, machine, log, snapshots, onFatal },
      {
        slackEntries: this.slackEntries,
        initial: log.initialState(machine.flushed.index),
        raft: {
          self: nodeId(id),
          voters: VOTERS,
          bootId: this.#boots,
          heartbeatTicks: 5,
          electionTicksMin: 30,
          randomBelow: (bound) => random.below(bound),
          limits: LIMITS,
        },
      },
    );
    driver.start();
    const life = { driver, recoveringAtStart };
    this.lives.set(id, life);
    return life;
  }

  async startAll(): Promise<void> {
    for (const id of VOTERS) await this.start(id);
  }

  /** Power cut of one machine: the old driver is deaf, unsynced work is gone or torn by the seed. */
  crash(id: number, seed?: number): void {
    this.lives.delete(id);
    this.network.remove(nodeId(id));
    this.disk(id).crash(seed === undefined ? {} : { random: seededRandom(seed) });
    this.machine(id).crash();
  }

  leaderId(): number | null {
    for (const [id, { driver }] of this.lives) if (driver.status().role === 'leader') return id;
    return null;
  }

  async leader(): Promise<number> {
    for (let i = 0; i < 1000; i += 1) {
      const id = this.leaderId();
      if (id !== null) return id;
      await this.clock.advance(10);
    }
    throw new Error('no leader');
  }

  async write(...texts: string[]): Promise<void> {
    const { driver } = this.lives.get(await this.leader())!;
    for (const text of texts) driver.propose(utf8(text), () => undefined);
    await this.clock.advance(200);
  }

  async flushAll(): Promise<void> {
    for (const machine of this.machines.values()) await machine.flush();
  }

  followers(leader: number): number[] {
    return VOTERS.filter((id) => id !== leader);
  }
}

async function worldWith(count: number, slackEntries?: number): Promise<World> {
  const world = new World(slackEntries);
  await world.startAll();
  for (let i = 0; i < count; i += 1) await world.write(`w${i}`);
  return world;
}

const expected = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${i}`);

describe('a cluster after restarts', () => {
  test('S1: all crash at once and nothing acknowledged is lost, whatever the disks kept', async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const world = await worldWith(10);
      if (seed % 2 === 0) await world.flushAll();
      for (const id of VOTERS) world.crash(id, seed * 10 + id);
      await world.startAll();
      for (const { recoveringAtStart } of world.lives.values()) {
        expect(recoveringAtStart).toBe(false);
      }
      await world.write('after');
      await world.clock.advance(1000);
      for (const machine of world.machines.values()) {
        expect(machine.texts).toEqual([...expected(10), 'after']);
      }
      expect(world.fatal).toEqual([]);
    }
  });

  test('S1: a node keeps its term and vote', async () => {
    const world = await worldWith(1);
    const before = world.lives.get(2)!.driver.status();
    world.crash(2);
    const { driver } = await world.start(2);
    expect(driver.status()).toMatchObject({ term: before.term, vote: before.vote });
  });

  test('a torn tail costs nothing and stops nobody', async () => {
    const world = await worldWith(5);
    const victim = world.followers(await world.leader())[0]!;
    world.crash(victim);
    const file = await world.disk(victim).open(LOG, 'write');
    await file.write(await file.size(), [utf8('half of a frame')]);
    await file.sync();
    const { recoveringAtStart } = await world.start(victim);
    expect(recoveringAtStart).toBe(false);
    await world.write('after');
    await world.clock.advance(500);
    expect(world.machine(victim).texts).toEqual([...expected(5), 'after']);
  });

  test('a flipped bit makes a node recover: it has its log back before it votes again', async () => {
    const world = await worldWith(8);
    await world.flushAll();
    const leader = await world.leader();
    const victim = world.followers(leader)[0]!;
    world.crash(victim);
    world.disk(victim).flipBit(LOG, 300);
    const { driver, recoveringAtStart } = await world.start(victim);
    expect(recoveringAtStart).toBe(true);
    await world.clock.advance(2000);
    expect(driver.status()).toMatchObject({ recovering: false, leader });
    expect(world.machine(victim).texts).toEqual(expected(8));
    world.crash(victim);
    expect((await world.start(victim)).recoveringAtStart).toBe(false);
    expect(world.fatal).toEqual([]);
  });

  test('a recovering node alone with one sound one elects nobody', async () => {
    const world = await worldWith(8);
    const [victim, other] = world.followers(await world.leader());
    for (const id of VOTERS) world.crash(id);
    world.disk(victim!).flipBit(LOG, 300);
    await world.start(victim!);
    await world.start(other!);
    await world.clock.advance(5000);
    expect(world.leaderId()).toBeNull();
  });

  test('a node without a log gets a snapshot and survives a crash right after it', async () => {
    const world = await worldWith(3, 2);
    const leader = await world.leader();
    const victim = world.followers(leader)[0]!;
    world.crash(victim);
    for (let i = 3; i < 60; i += 1) {
      await world.write(`w${i}`);
      await world.flushAll();
    }
    await world.clock.advance(2000);
    expect(world.lives.get(leader)!.driver.status().baseIndex).toBeGreaterThan(20);
    await world.start(victim);
    await world.clock.advance(3000);
    expect(world.machine(victim).texts).toEqual(expected(60));
    world.crash(victim);
    const again = await world.start(victim);
    expect(again.recoveringAtStart).toBe(false);
    await world.write('w60');
    await world.clock.advance(1000);
    expect(world.machine(victim).texts).toEqual(expected(61));
    expect(world.fatal).toEqual([]);
  });

  test('R22: a crash between an installed snapshot and the restart of the log is finished at open', async () => {
    const world = await worldWith(3, 2);
    const leader = await world.leader();
    const victim = world.followers(leader)[0]!;
    world.crash(victim);
    for (let i = 3; i < 60; i += 1) await world.write(`w${i}`);
    await world.flushAll();
    const source = await world.machine(leader).openSnapshot();
    await world.machine(victim).installSnapshot(source.point, source.chunks);
    const { recoveringAtStart, driver } = await world.start(victim);
    expect(recoveringAtStart).toBe(false);
    expect(driver.status().baseIndex).toBe(source.point.index);
    await world.write('w60');
    await world.clock.advance(1000);
    expect(world.machine(victim).texts).toEqual(expected(61));
  });

  test.each(['while it is installed', 'after the log was restarted'])(
    'R22: a vote given during an install is remembered after a crash %s',
    async (when) => {
      const world = await worldWith(3, 2);
      const leader = await world.leader();
      const [victim, other] = world.followers(leader) as [number, number];
      world.crash(victim);
      for (let i = 3; i < 60; i += 1) {
        await world.write(`w${i}`);
        await world.flushAll();
      }
      await world.clock.advance(2000);
      const machine = world.machine(victim);
      const install = machine.installSnapshot.bind(machine);
      const reached = Promise.withResolvers<undefined>();
      const gate = Promise.withResolvers<undefined>();
      machine.installSnapshot = async (point, chunks) => {
        reached.resolve(undefined);
        await gate.promise;
        await install(point, chunks);
      };
      await world.start(victim);
      await world.clock.advance(500);
      await reached.promise;
      const before = world.lives.get(victim)!.driver.status();

      // Of two nodes that are left, the other can lead only with the vote of the one that installs.
      world.crash(leader);
      await world.clock.advance(1000);
      expect(world.leaderId()).toBe(other);
      const elected = world.lives.get(victim)!.driver.status();
      expect(elected.term).toBeGreaterThan(before.term);
      expect(elected.vote).toBe(other);

      if (when !== 'while it is installed') {
        gate.resolve(undefined);
        await world.clock.advance(20);
        expect(world.lives.get(victim)!.driver.status().baseIndex).toBeGreaterThan(20);
      }
      world.crash(victim);
      // The work of the life that has ended goes nowhere.
      machine.installSnapshot = install;
      const { driver, recoveringAtStart } = await world.start(victim);
      expect(recoveringAtStart).toBe(false);
      expect(driver.status()).toMatchObject({ term: elected.term, vote: other });
      await world.clock.advance(3000);
      await world.write('after');
      await world.clock.advance(1000);
      expect(machine.texts).toEqual([...expected(60), 'after']);
      expect(world.fatal).toEqual([]);
    },
  );

  test('a failed sync stops the node, and it comes back whole', async () => {
    const world = await worldWith(4);
    const leader = await world.leader();
    world.disk(leader).failNext('sync', LOG);
    await world.write('doubtful');
    expect(world.fatal.map(({ name }) => name)).toEqual(['KvError']);
    world.crash(leader);
    await world.start(leader);
    await world.write('after');
    await world.clock.advance(1000);
    const texts = [...world.machines.values()].map((machine) => machine.texts.join());
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toContain('after');
  });

  test('a stopped node flushes and needs no replay', async () => {
    const world = await worldWith(4);
    const victim = world.followers(await world.leader())[0]!;
    await world.lives.get(victim)!.driver.stop();
    expect(world.machine(victim).flushed).toEqual(world.machine(victim).applied);
    world.crash(victim);
    const { recoveringAtStart, driver } = await world.start(victim);
    expect(recoveringAtStart).toBe(false);
    expect(driver.status().lastIndex).toBeGreaterThanOrEqual(4);
  });
});

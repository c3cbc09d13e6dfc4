/**
 * The cluster by itself: production code comes up on virtual time alone, serves, loses what a machine
 * would lose and nothing else, and does all of it again in the same way.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { hookFailpoints } from '../common/failpoint.ts';
import { LIMITS } from '../coordinator/limits.ts';
import { createCluster } from './cluster.ts';
import { ConnectionLost } from './lost.ts';
import { leaderOf, SimClient, servingCluster, settled, untilServing } from './serving.ts';
import type { SimCluster, SimHost } from './types.ts';

afterEach(() => hookFailpoints(null));

const FULL = { coordinators: 3, volumes: 3 };

function hostAt(hosts: readonly SimHost[], i: number): SimHost {
  const host = hosts[i];
  if (host === undefined) throw new RangeError(`there is no host ${i}`);
  return host;
}

function mustLead(cluster: SimCluster): SimHost {
  const leader = leaderOf(cluster);
  if (leader === undefined) throw new Error('nobody leads');
  return leader;
}

const others = (cluster: SimCluster, but: SimHost): readonly SimHost[] =>
  cluster.coordinators.filter((host) => host !== but);

const clientOf = (cluster: SimCluster, i = 0): SimClient =>
  new SimClient(cluster, hostAt(cluster.coordinators, i));

describe('a simulated cluster', () => {
  test.each([
    [1, 1],
    [3, 3],
    [5, 5],
  ])(
    'of %d coordinators and %d volumes forms itself and keeps a value',
    async (coordinators, volumes) => {
      const options = { coordinatorOptions: { minReplicas: 1 } };
      const cluster = await servingCluster({ seed: 7, coordinators, volumes, ...options });
      await clientOf(cluster).put('a', 'value');
      expect(await clientOf(cluster, coordinators - 1).get('a')).toBe('value');
    },
  );

  test('serves PUT, GET, DELETE and listings, also of values in many pieces', async () => {
    const cluster = await servingCluster({ seed: 8, ...FULL });
    const large = 'x'.repeat(700_000);
    const [first, last] = [clientOf(cluster), clientOf(cluster, 2)];
    await first.put('a', 'one');
    await first.put('b', large);
    expect((await last.get('b')) === large).toBe(true);
    expect(await last.list('')).toEqual(['a', 'b']);
    await last.delete('a');
    await expect(first.get('a')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
    expect(await first.list('')).toEqual(['b']);
  });

  test('tells of what its processes log and count', async () => {
    const logged = new Set<string>();
    const counted = new Set<string>();
    const cluster = await servingCluster({
      seed: 10,
      ...FULL,
      onLog: (host, message) => logged.add(`${host}: ${message}`),
      onCount: (host, metric) => counted.add(`${host}: ${metric}`),
    });
    await clientOf(cluster).put('a', 'value');
    expect([...logged]).toContain('coord-2: member runs');
    expect([...logged]).toContain('volume-1: registered');
    expect([...counted].filter((line) => line.startsWith('coord-0: '))).not.toEqual([]);
  });

  test('costs no real time: a minute at rest', async () => {
    const cluster = await servingCluster({ seed: 9, coordinators: 1, volumes: 1 });
    await cluster.run(60_000);
    expect(cluster.nowMs).toBeGreaterThan(60_000);
  });
});

describe('the loss of a process', () => {
  test('of the leader makes another one, and what was acknowledged stands', async () => {
    const cluster = await servingCluster({ seed: 11, ...FULL });
    await clientOf(cluster).put('a', 'before');
    const old = mustLead(cluster);
    old.kill();
    expect([old.isUp, old.gateway, old.coordinator]).toEqual([false, null, null]);
    const [rest] = others(cluster, old);
    await cluster.runUntil(() => leaderOf(cluster) !== undefined, 10_000);
    const client = new SimClient(cluster, hostAt([rest ?? old], 0));
    expect(await client.get('a')).toBe('before');
    await client.put('a', 'after');
    old.start();
    await untilServing(cluster);
    expect(await new SimClient(cluster, old).get('a')).toBe('after');
  });

  test('under a request tells the client that the connection is lost', async () => {
    const cluster = await servingCluster({ seed: 12, ...FULL });
    const host = hostAt(cluster.coordinators, 0);
    const answer = new SimClient(cluster, host).beginPut('a', 'value');
    cluster.after(1, () => host.kill());
    await expect(settled(cluster, answer)).rejects.toBeInstanceOf(ConnectionLost);
  });

  test('at a failpoint is the loss of the process whose step it is, and ends it there', async () => {
    const cluster = await servingCluster({ seed: 13, ...FULL });
    const host = hostAt(cluster.coordinators, 1);
    const met: (string | undefined)[] = [];
    hookFailpoints((name) => {
      if (name !== 'gateway.voted') return;
      met.push(cluster.current?.name);
      cluster.current?.kill();
    });
    const answer = new SimClient(cluster, host).beginPut('a', 'value');
    await expect(settled(cluster, answer)).rejects.toBeInstanceOf(ConnectionLost);
    expect(met).toEqual(['coord-1']);
    // Nothing of it went on: the value was never proposed.
    hookFailpoints(null);
    host.start();
    await untilServing(cluster);
    await expect(clientOf(cluster).get('a')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
  });

  test('by itself, when its disk fails, names the reason and acknowledges nothing more', async () => {
    const cluster = await servingCluster({ seed: 14, ...FULL });
    const host = mustLead(cluster);
    host.disk.failNext('sync', 'raft');
    const answer = new SimClient(cluster, host).beginPut('a', 'value');
    await expect(settled(cluster, answer)).rejects.toBeInstanceOf(ConnectionLost);
    expect(host.isUp).toBe(false);
    expect(host.fatal).toMatchObject({ code: 'DISK_FAILED' });
  });

  test('in good order hands leadership over and resolves', async () => {
    const cluster = await servingCluster({ seed: 15, ...FULL });
    const old = mustLead(cluster);
    await settled(cluster, old.stop());
    expect([old.isUp, old.fatal]).toEqual([false, null]);
    expect(mustLead(cluster).name).not.toBe(old.name);
    const volume = hostAt(cluster.volumes, 0);
    await settled(cluster, volume.stop());
    expect([volume.isUp, volume.fatal]).toEqual([false, null]);
  });
});

describe('the loss of power', () => {
  test.each([21, 22, 23])(
    'of all machines at once keeps what was acknowledged (seed %d)',
    async (seed) => {
      const cluster = await servingCluster({ seed, ...FULL });
      for (let i = 0; i < 5; i += 1) await clientOf(cluster, i % 3).put(`key-${i}`, `value ${i}`);
      // One more is on its way: of that nobody knows.
      clientOf(cluster)
        .beginPut('late', 'late')
        .catch(() => undefined);
      await cluster.run(cluster.random.below(10));
      for (const host of cluster.hosts) host.cutPower();
      await cluster.run(1000);
      for (const host of cluster.hosts) host.start();
      await untilServing(cluster);
      for (let i = 0; i < 5; i += 1) {
        expect(await clientOf(cluster, (i + 1) % 3).get(`key-${i}`)).toBe(`value ${i}`);
      }
    },
  );

  test('of one machine is silent: others notice by their keepalive', async () => {
    const cluster = await servingCluster({ seed: 24, ...FULL });
    const volume = hostAt(cluster.volumes, 1);
    const seen = (): number => hostAt(cluster.coordinators, 0).admin?.health().healthyVolumes ?? 0;
    volume.cutPower();
    await cluster.run(1000);
    expect(seen()).toBe(3);
    expect(await cluster.runUntil(() => seen() === 2, 10_000)).toBe(true);
  });
});

describe('a paused process', () => {
  test('does nothing, loses leadership, and goes on where it was', async () => {
    const cluster = await servingCluster({ seed: 31, ...FULL });
    const old = mustLead(cluster);
    const [other] = others(cluster, old);
    old.pause();
    expect(old.isPaused).toBe(true);
    const answer = new SimClient(cluster, old).beginPut('a', 'from the old leader');
    let hasAnswered = false;
    answer.then(
      () => {
        hasAnswered = true;
      },
      () => undefined,
    );
    expect(await cluster.runUntil(() => other?.admin?.leaderName() !== old.name, 10_000)).toBe(
      true,
    );
    const client = new SimClient(cluster, hostAt([other ?? old], 0));
    await client.put('b', 'from the new one');
    expect(hasAnswered).toBe(false);
    old.resume();
    await settled(cluster, answer);
    expect(await client.get('a')).toBe('from the old leader');
    expect(await new SimClient(cluster, old).get('b')).toBe('from the new one');
  });
});

describe('a link', () => {
  test('that is cut one way deposes a leader that hears nobody', async () => {
    const cluster = await servingCluster({ seed: 41, ...FULL });
    const old = mustLead(cluster);
    for (const { name } of others(cluster, old))
      cluster.network.set(name, old.name, { isCut: true });
    const isDeposed = (): boolean => old.admin?.status().role !== 'leader';
    expect(await cluster.runUntil(isDeposed, 10_000)).toBe(true);
    const [other] = others(cluster, old);
    const client = new SimClient(cluster, hostAt([other ?? old], 0));
    await client.put('a', 'value');
    cluster.network.heal();
    await untilServing(cluster);
    expect(await new SimClient(cluster, old).get('a')).toBe('value');
  });

  test('that resets connections now and then is dialled again', async () => {
    const cluster = await servingCluster({ seed: 42, ...FULL });
    for (const a of cluster.hosts) {
      for (const b of cluster.hosts) cluster.network.set(a.name, b.name, { resetChance: 0.01 });
    }
    await cluster.run(5000);
    cluster.network.heal();
    cluster.network.resetAll('coord-0');
    await cluster.run(2000);
    await untilServing(cluster);
    await clientOf(cluster).put('a', 'value');
    expect(cluster.hosts.map(({ fatal }) => fatal)).toEqual(cluster.hosts.map(() => null));
  });
});

describe('a disk', () => {
  const fileOf = (host: SimHost, part: string): { path: string; sizeBytes: number } => {
    const file = host.disk.files().find(({ path }) => path.includes(part));
    if (file === undefined) throw new Error(`${host.name} has no file ${part}`);
    return file;
  };

  test('that has lost a batch of the metadata in silence makes them void, and they are rebuilt', async () => {
    const cluster = await servingCluster({ seed: 71, ...FULL });
    const host = hostAt(cluster.coordinators, 1);
    for (let i = 0; i < 5; i += 1) {
      await clientOf(cluster).put(`key-${i}`, `value ${i}`);
      await cluster.run(200);
    }
    await settled(cluster, host.stop());
    const { path, sizeBytes } = fileOf(host, 'batches.log');
    host.disk.flipBit(path, sizeBytes >>> 1);
    host.start();
    await untilServing(cluster);
    expect(await clientOf(cluster, 1).get('key-2')).toBe('value 2');
    // The void table went, and another one is in its place.
    expect(fileOf(host, 'batches.log').path).not.toBe(path);
  });

  test('that is wiped under a volume makes it another one, which takes new copies', async () => {
    const cluster = await servingCluster({ seed: 72, ...FULL });
    await clientOf(cluster).put('a', 'value');
    const volume = hostAt(cluster.volumes, 0);
    volume.cutPower();
    volume.disk.wipe();
    volume.start();
    const isBack = (): boolean => volume.volumePort?.status().state === 'serving';
    expect(await cluster.runUntil(isBack, 60_000)).toBe(true);
    expect(volume.volumePort?.status().disk).toBe(4);
    await cluster.run(5000);
    expect(await clientOf(cluster).get('a')).toBe('value');
    await clientOf(cluster).put('b', 'value');
    expect(volume.volumePort?.usage().copies).toBe(1);
  });

  test('that is full refuses writes, and serves reads once its volume has started again', async () => {
    const cluster = await servingCluster({ seed: 73, ...FULL });
    await clientOf(cluster).put('a', 'value');
    // The decision is told to the volumes a little later, and takes room as well.
    await cluster.run(2 * LIMITS.settleLingerMs);
    for (const { disk } of cluster.volumes) disk.fill(0);
    const refused = clientOf(cluster).put('b', 'x'.repeat(100_000));
    await expect(refused).rejects.toMatchObject({ name: 'KvError' });
    // The failed write ends them; started again they see that there is no room, and stay up.
    const hasEnded = ({ fatal }: SimHost): boolean => fatal !== null;
    expect(await cluster.runUntil(() => cluster.volumes.every(hasEnded), 60_000)).toBe(true);
    for (const volume of cluster.volumes) volume.start();
    const isBack = (volume: SimHost): boolean => volume.volumePort?.status().state === 'serving';
    expect(await cluster.runUntil(() => cluster.volumes.every(isBack), 60_000)).toBe(true);
    await expect(clientOf(cluster).put('b', 'x'.repeat(100_000))).rejects.toMatchObject({
      name: 'KvError',
    });
    expect(await clientOf(cluster).get('a')).toBe('value');
    expect(cluster.volumes.map(({ fatal }) => fatal)).toEqual([null, null, null]);
  });

  test('that is slow is waited for', async () => {
    const cluster = await servingCluster({ seed: 74, ...FULL });
    for (const { disk } of cluster.hosts) disk.latency = { readMs: 5, writeMs: 5, syncMs: 60 };
    const beganMs = cluster.nowMs;
    await clientOf(cluster).put('a', 'value');
    expect(cluster.nowMs - beganMs).toBeGreaterThan(20);
    expect(await clientOf(cluster, 2).get('a')).toBe('value');
  });
});

describe('a clock', () => {
  test('that goes wrong on one machine harms nobody', async () => {
    const cluster = await servingCluster({ seed: 61, ...FULL });
    const rates = [1.1, 0.9, 1, 1.2, 0.8, 1];
    for (const [i, host] of cluster.hosts.entries()) {
      host.clock.rate = rates[i] ?? 1;
      host.clock.wallSkewMs = (i - 3) * 3_600_000;
    }
    await clientOf(cluster).put('a', 'value');
    await cluster.run(5000);
    expect(await clientOf(cluster, 1).get('a')).toBe('value');
    expect(cluster.hosts.map(({ fatal }) => fatal)).toEqual(cluster.hosts.map(() => null));
    expect(hostAt(cluster.volumes, 0).volumePort?.status().state).toBe('serving');
  });
});

describe('a seed', () => {
  /** A run in which most things happen. */
  async function story(seed: number): Promise<string> {
    const cluster = await servingCluster({ seed, ...FULL });
    await clientOf(cluster).put('a', 'value');
    cluster.network.set('coord-0', 'coord-1', { isCut: true });
    mustLead(cluster).kill();
    hostAt(cluster.volumes, 0).cutPower();
    await cluster.run(3000);
    hostAt(cluster.volumes, 1).pause();
    for (const host of cluster.hosts) host.start();
    await cluster.run(500);
    hostAt(cluster.volumes, 1).resume();
    cluster.network.heal();
    await untilServing(cluster);
    await clientOf(cluster).put('b', 'x'.repeat(300_000));
    return `${cluster.traceHash} ${cluster.eventCount} ${cluster.nowMs}`;
  }

  test.each([51, 52, 53])('%d makes the same events in the same order each time', async (seed) => {
    expect(await story(seed)).toBe(await story(seed));
  });

  test('makes other events than another one', async () => {
    expect(await story(51)).not.toBe(await story(52));
  });

  test('does not depend on what ran before it', async () => {
    const alone = await story(54);
    const other = await createCluster({ seed: 1, coordinators: 1, volumes: 1 });
    for (const host of other.hosts) host.start();
    await other.run(500);
    expect(await story(54)).toBe(alone);
  });
});

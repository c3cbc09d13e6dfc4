/**
 * The stories below the crash matrix of docs/testing.md: what is proposed twice, comes late, or
 * comes back from an earlier time must neither undo what came after it nor count what is lost.
 */
import { afterEach, expect, test } from '@jest/globals';
import { present } from '../common/assert.ts';
import { utf8 } from '../common/bytes.ts';
import { hookFailpoints } from '../common/failpoint.ts';
import { Ledger, tell } from './ledger.ts';
import { leaderOf, SimClient, servingCluster, settled, untilServing } from './serving.ts';
import { Trap } from './trap.ts';
import type { SimCluster, SimHost } from './types.ts';

const FENCE = { fenceMs: 4000, graceMs: 5000, requestTimeoutMs: 4000 };

afterEach(() => hookFailpoints(null));

interface Story {
  readonly cluster: SimCluster;
  readonly ledger: Ledger;
  readonly leader: SimHost;
  /** Leads nobody: the client's. */
  readonly gateway: SimHost;
  readonly other: SimHost;
}

async function begin(seed: number, fsync: object = { kind: 'always' }): Promise<Story> {
  const cluster = await servingCluster({
    seed,
    coordinators: 3,
    volumes: 3,
    coordinatorOptions: FENCE,
    volumeOptions: { fsync },
  });
  const leader = present(leaderOf(cluster), 'a leader');
  const [gateway, other] = cluster.coordinators.filter((host) => host !== leader);
  return {
    cluster,
    ledger: new Ledger(cluster),
    leader,
    gateway: present(gateway, 'a gateway'),
    other: present(other, 'another coordinator'),
  };
}

async function end({ cluster, ledger }: Story): Promise<void> {
  cluster.network.heal();
  for (const host of cluster.hosts) host.start();
  await untilServing(cluster);
  await ledger.stands();
  await ledger.isTidy();
  await ledger.stands();
  expect(cluster.hosts.map(({ fatal }) => fatal)).toEqual(cluster.hosts.map(() => null));
}

/** The command of the next write of `key` through that gateway, caught as it is proposed. */
function catchCommand({ cluster, gateway }: Story, key: string): Trap {
  const isMeant = (host: SimHost): boolean => host === gateway;
  return new Trap(cluster, { point: 'gateway.voted', isMeant, about: utf8(key) }, () => undefined);
}

/** Proposes a command once more, as a gateway does that has not heard of its end. */
async function proposeAgain({ cluster, leader }: Story, command: Uint8Array): Promise<void> {
  leader.coordinator?.member?.consensus.propose(command, () => undefined);
  await cluster.run(500);
}

test.each([
  ['PUT', 'later'],
  ['DELETE', null],
])('a duplicate proposal over an intervening %s changes nothing', async (_name, later) => {
  const story = await begin(later === null ? 4001 : 4002);
  const { ledger, gateway, other } = story;
  const trap = catchCommand(story, 'key');
  await ledger.mustPut(gateway, 'key', 'first');
  const command = trap.about;
  expect(command.length).toBeGreaterThan(0);
  if (later === null) await ledger.mustDelete(other, 'key');
  else await ledger.mustPut(other, 'key', later);
  await proposeAgain(story, command);
  await ledger.stands();
  await end(story);
});

test.each([
  ['SIGKILL', 4003],
  ['power loss', 4004],
])('a volume that restarts (%s) between vote and apply is not counted', async (how, seed) => {
  const story = await begin(seed);
  const { cluster, ledger, gateway } = story;
  const volume = present(cluster.volumes[1], 'a volume');
  const trap = new Trap(
    cluster,
    { point: 'gateway.voted', isMeant: (host) => host === gateway, about: utf8('key') },
    () => {
      if (how === 'SIGKILL') volume.kill();
      else volume.cutPower();
      volume.start();
      // The proposal waits until the volume has another session.
      gateway.pause();
      cluster.after(1500, () => gateway.resume());
    },
  );
  const told = await settled(cluster, tell(cluster, gateway, { key: 'key', value: 'value' }));
  expect(trap.hasSprung).toBe(true);
  expect(told.kind).toBe('acknowledged');
  ledger.expectValue('key', 'value');
  const copies = gateway.coordinator?.member?.metadata.record(utf8('key'))?.copies ?? [];
  const struck = gateway.coordinator?.member?.metadata
    .disks()
    .find((row) => row.volume === volume.name);
  expect(copies).toHaveLength(2);
  expect(copies.map(({ disk }) => disk)).not.toContain(struck?.disk);
  await end(story);
});

test('a Drop that is delayed until the value is back on its disks takes only the copy that it names', async () => {
  const story = await begin(4005);
  const { cluster, ledger, gateway, other } = story;
  await ledger.mustPut(gateway, 'key', 'old');
  const old = gateway.coordinator?.member?.metadata.record(utf8('key'))?.copies ?? [];
  expect(old).toHaveLength(3);
  // The same value comes back to the same disks, under another id.
  await ledger.mustPut(gateway, 'key', 'between');
  await ledger.mustPut(other, 'key', 'old');
  await ledger.isTidy();
  for (const volume of cluster.volumes) {
    const engine = present(volume.volume?.engine, 'an engine');
    for (const { copyId } of old) await settled(cluster, engine.drop(copyId));
  }
  await end(story);
});

test('a proposal that the fence overtakes is refused, wherever it waited', async () => {
  const story = await begin(4006);
  const { cluster, ledger, gateway, other } = story;
  await ledger.mustPut(other, 'key', 'old');
  const trap = new Trap(
    cluster,
    { point: 'gateway.voted', isMeant: (host) => host === gateway, about: utf8('key') },
    (host) => host.pause(),
  );
  const answer = tell(cluster, gateway, { key: 'key', value: 'too late' });
  await cluster.runUntil(() => trap.hasSprung, 5000);
  // Longer than the fence: the volumes ask, and are told to drop what they had staged.
  await cluster.run(20_000);
  await proposeAgain(story, trap.about);
  expect(await ledger.read(other, 'key')).toBe('old');
  gateway.resume();
  expect((await settled(cluster, answer)).kind).not.toBe('acknowledged');
  await end(story);
});

test('of three volumes that lose power between vote and apply under `interval` none is counted', async () => {
  const story = await begin(4007, { kind: 'interval', intervalMs: 60_000 });
  const { cluster, ledger, gateway, other } = story;
  await ledger.mustPut(other, 'beside', 'value');
  const trap = new Trap(
    cluster,
    { point: 'gateway.voted', isMeant: (host) => host === gateway, about: utf8('key') },
    () => {
      for (const volume of cluster.volumes) {
        volume.cutPower();
        volume.start();
      }
      gateway.pause();
      cluster.after(1500, () => gateway.resume());
    },
  );
  const told = await settled(cluster, tell(cluster, gateway, { key: 'key', value: 'lost' }));
  expect(trap.hasSprung).toBe(true);
  expect(told).toEqual({ kind: 'refused', code: 'NO_REPLICAS' });
  await untilServing(cluster);
  expect(await ledger.read(other, 'key')).toBeNull();
});

test('a volume at the address of another one is not taken for it', async () => {
  const story = await begin(4008);
  const { cluster, ledger, gateway, other } = story;
  await ledger.mustPut(gateway, 'key', 'value');
  const reused = present(cluster.volumes[0], 'a volume');
  const before = diskOf(story, reused);
  reused.kill();
  reused.disk.wipe();
  reused.start();
  // The same name and address, and another disk: the old one's copy is not looked for there.
  const isAnother = (): boolean => ![0, before].includes(diskOf(story, reused));
  expect(await cluster.runUntil(isAnother, 20_000)).toBe(true);
  expect(await ledger.read(other, 'key')).toBe('value');
  const admin = present(leaderOf(cluster)?.admin, 'an admin port');
  const change = { disk: before, state: 'gone' } as const;
  await settled(cluster, admin.setVolume(reused.name, change, 5000));
  await end(story);
});

test('an old image of a disk loses nothing: what it lacks is found and made anew', async () => {
  const story = await begin(4009);
  const { cluster, ledger, gateway } = story;
  const volume = present(cluster.volumes[2], 'a volume');
  await ledger.mustPut(gateway, 'before', 'value');
  volume.kill();
  const putBack = volume.disk.image();
  volume.start();
  await untilServing(cluster);
  await ledger.mustPut(gateway, 'after', 'value');
  await ledger.mustPut(gateway, 'before', 'replaced');
  volume.kill();
  putBack();
  await cluster.run(10_000);
  await end(story);
  const client = new SimClient(cluster, gateway);
  expect(await client.list('')).toEqual(['after', 'before']);
});

/** The disk that a volume serves now, as the gateway knows it. */
function diskOf({ gateway }: Story, host: SimHost): number {
  const live = gateway.coordinator?.member?.registry.live() ?? [];
  return live.find(({ name }) => name === host.name)?.disk ?? 0;
}

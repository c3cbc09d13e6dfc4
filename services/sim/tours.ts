/**
 * Small loads that together bring a simulated cluster to every failpoint of the store. Whoever is down is
 * brought back a moment later by the test, so each of them goes on through a death at any of its steps.
 */
import { present } from '../common/assert.ts';
import type { StoreFailpoint } from '../common/failpoint.ts';
import { KIB } from '../common/units.ts';
import type { Ledger } from './ledger.ts';
import { leaderOf, settled, untilServing } from './serving.ts';
import type { SimCluster, SimHost, SimOptions } from './types.ts';

export interface Tour {
  readonly options: Omit<SimOptions, 'seed'>;
  /** From a cluster that serves; the ledger has what it must say in the end. */
  readonly load: (cluster: SimCluster, ledger: Ledger) => Promise<void>;
  readonly points: readonly StoreFailpoint[];
}

const FULL = { coordinators: 3, volumes: 3 };
const FENCE = { fenceMs: 2000, graceMs: 2500, requestTimeoutMs: 2000 };
const ALWAYS = { fsync: { kind: 'always' } };
/** What is replaced waits for its grace, and compaction rests for 5 s between two looks. */
const REAPED_MS = 12_000;
const SMALL = 8 * KIB;
const CHUNKED = 600 * KIB;

/** A coordinator that serves now. */
async function anyOf(cluster: SimCluster): Promise<SimHost> {
  const serving = (): SimHost | undefined =>
    cluster.coordinators.find(({ gateway }) => gateway !== null);
  await cluster.runUntil(() => serving() !== undefined, 30_000);
  return present(serving(), 'a coordinator that serves');
}

async function put(cluster: SimCluster, ledger: Ledger, key: string, bytes = SMALL): Promise<void> {
  const value = `${key} at ${cluster.nowMs} `.padEnd(bytes, 'v');
  await ledger.mustPut(() => anyOf(cluster), key, value);
}

async function several(cluster: SimCluster, ledger: Ledger, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await put(cluster, ledger, `key-${i}`);
}

/** Of two that create the same key one is refused by apply, and its copies are discarded. */
async function collide(cluster: SimCluster, ledger: Ledger): Promise<void> {
  const hosts = cluster.coordinators.filter(({ gateway }) => gateway !== null);
  const answers = hosts.map((host) => ledger.tryCreate(host, 'collision', `by ${host.name}`));
  await settled(cluster, Promise.all(answers));
  ledger.expectValue('collision', await ledger.read(() => anyOf(cluster), 'collision'));
}

/** Ends well, or by the death that the test has planned for it. */
async function restart(cluster: SimCluster, host: SimHost, how: 'stop' | 'kill'): Promise<void> {
  if (how === 'stop') await settled(cluster, host.stop());
  else host.kill();
  host.start();
  await untilServing(cluster);
}

const volumeAt = ({ volumes }: SimCluster, i: number): SimHost => present(volumes[i], 'a volume');

const forming: Tour = {
  options: { ...FULL, coordinatorOptions: FENCE },
  load: async (cluster, ledger) => {
    await several(cluster, ledger, 1);
    // A Finalize comes after the answer.
    await cluster.run(1000);
  },
  points: [
    'node.booted',
    'node.armed',
    'node.confirmed',
    'node.member',
    'cluster.initializing',
    'folder.booted',
    'registry.registered',
    'registration.answered',
    'folder.registered',
    'registration.begun',
    'slots.half',
    'file.prepared',
    'file.renamed',
    'log.rolled',
    'vote.durable',
    'metadata.created',
    'metadata.frozen',
    'metadata.flushed',
    'raft.appended',
    'raft.durable',
    'raft.committed',
    'segment.created',
    'gateway.minted',
    'volume.written',
    'volume.staged',
    'gateway.voted',
    'gateway.proposed',
    'gateway.decided',
    'gateway.finalizing',
    'volume.finalized',
    'gateway.finalized',
  ],
};

const overwriting: Tour = {
  options: {
    ...FULL,
    coordinatorOptions: FENCE,
    volumeOptions: { ...ALWAYS, segmentBytes: 32 * KIB },
  },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 6);
    // The last one stays, so that what is compacted holds something that lives.
    await several(cluster, ledger, 5);
    await put(cluster, ledger, 'chunked', CHUNKED);
    await collide(cluster, ledger);
    await cluster.run(REAPED_MS);
    await several(cluster, ledger, 3);
    await cluster.run(REAPED_MS);
  },
  points: [
    'gateway.discarding',
    'segment.sealed',
    'segment.moved',
    'advance.proposing',
    'reaper.dropping',
    'volume.dropped',
    'reaper.dropped',
    'reaper.reclaiming',
    'compaction.begun',
    'compaction.copied',
    'compaction.prepared',
    'compaction.published',
    'compaction.switched',
    'compaction.removing',
    'compaction.removed',
  ],
};

const restarting: Tour = {
  options: { ...FULL, coordinatorOptions: FENCE, volumeOptions: ALWAYS },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 4);
    await restart(cluster, volumeAt(cluster, 0), 'stop');
    await restart(cluster, volumeAt(cluster, 1), 'kill');
    await several(cluster, ledger, 2);
    await cluster.run(REAPED_MS);
  },
  points: [
    'engine.closed',
    'folder.clean',
    'index.prepared',
    'index.published',
    'asker.answered',
    'reconcile.checked',
    'reconcile.reported',
    'reconcile.ended',
  ],
};

/** A volume is lost with its disk, and declared gone. */
const repairing: Tour = {
  options: { coordinators: 3, volumes: 4, coordinatorOptions: FENCE, volumeOptions: ALWAYS },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 4);
    await put(cluster, ledger, 'chunked', CHUNKED);
    const lost = volumeAt(cluster, 0);
    lost.kill();
    lost.disk.wipe();
    await cluster.run(1000);
    await ledger.untilDone(async () => {
      const { admin = null, coordinator = null } = leaderOf(cluster) ?? {};
      if (admin === null) return false;
      const disks = coordinator?.member?.metadata.disks() ?? [];
      if (disks.some(({ volume, state }) => volume === lost.name && state === 'gone')) return true;
      await settled(cluster, admin.setVolume(lost.name, { state: 'gone' }, 2000));
      return false;
    });
    lost.start();
    await cluster.run(REAPED_MS);
  },
  points: ['puller.fetched', 'puller.staged', 'repair.pulled', 'repair.moved'],
};

/** A coordinator is away for longer than its peers keep their log. */
const lagging: Tour = {
  options: {
    ...FULL,
    coordinatorOptions: FENCE,
    volumeOptions: ALWAYS,
    slackEntries: 4,
    logSegmentBytes: KIB,
  },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 2);
    const follower = cluster.coordinators.find((host) => host !== leaderOf(cluster));
    follower?.kill();
    for (let i = 0; i < 6; i += 1) {
      await several(cluster, ledger, 6);
      await cluster.run(1000);
    }
    follower?.start();
    await untilServing(cluster);
    await cluster.run(3000);
  },
  points: [
    'log.based',
    'log.cut',
    'log.restarted',
    'snapshot.captured',
    'snapshot.sending',
    'snapshot.received',
    'snapshot.staged',
    'snapshot.built',
    'snapshot.published',
    'snapshot.replaced',
    'snapshot.installed',
  ],
};

/** A machine comes back with a copy of its disk that others know to be old. */
const returning: Tour = {
  options: { ...FULL, coordinatorOptions: FENCE, volumeOptions: ALWAYS },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 2);
    const volume = volumeAt(cluster, 0);
    volume.kill();
    const putBack = volume.disk.image();
    volume.start();
    await untilServing(cluster);
    await several(cluster, ledger, 4);
    volume.kill();
    putBack();
    // Its later start is no longer heard.
    await cluster.run(10_000);
    volume.start();
    await cluster.run(REAPED_MS);
  },
  points: ['folder.raised'],
};

/** The end of a coordinator's log is gone. */
const damaged: Tour = {
  options: { ...FULL, coordinatorOptions: FENCE },
  load: async (cluster, ledger) => {
    await untilServing(cluster);
    await several(cluster, ledger, 2);
    const follower = present(
      cluster.coordinators.find((host) => host !== leaderOf(cluster)),
      'a follower',
    );
    follower.kill();
    const { path, sizeBytes } = present(
      follower.disk.files().findLast((file) => file.path.includes('/raft/log/')),
      'the log',
    );
    follower.disk.truncate(path, sizeBytes - 5);
    follower.start();
    await untilServing(cluster);
    await several(cluster, ledger, 2);
  },
  points: ['log.damaged'],
};

export const TOURS = {
  forming,
  overwriting,
  restarting,
  repairing,
  lagging,
  returning,
  damaged,
} as const satisfies Record<string, Tour>;

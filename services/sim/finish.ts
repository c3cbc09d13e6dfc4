/**
 * The end of a run: everything is healed and started, and what was promised must come true within bounds that
 * do not depend on what had happened: writes succeed, keys have all their copies, coordinators agree, nothing
 * is left over, and every key reads the same through everybody.
 */
import { textOf } from '../common/bytes.ts';
import { MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { Member } from '../coordinator/member.ts';
import type { Client } from './client.ts';
import { statesOf } from './copies.ts';
import { leaderOf, namedGoneDisks, replacedDisks } from './operator.ts';
import type { Recorder } from './recorder.ts';
import type { SimCluster } from './types.ts';

export interface FinishParts {
  readonly cluster: SimCluster;
  readonly recorder: Recorder;
  readonly keys: readonly string[];
  /** One that writes and reads through a coordinator of choice. */
  readonly prober: Client;
  readonly fenceMs: number;
  readonly graceMs: number;
  readonly appliedMax: () => number;
  readonly say: (line: string) => void;
}

const SERVING_MAX_MS = 2 * MINUTE_MS;
const WRITE_MAX_MS = 30 * SECOND_MS;
const WHOLE_MAX_MS = 5 * MINUTE_MS;
const REST_MAX_MS = 3 * MINUTE_MS;
const READ_MAX_MS = 30 * SECOND_MS;
const BEYOND_MS = 5 * SECOND_MS;

/** Sentences about what did not come true; the later steps need the earlier ones. */
export async function finish(parts: FinishParts): Promise<readonly string[]> {
  const { cluster, say } = parts;
  const steps = [
    {
      name: 'every coordinator serves and agrees',
      maxMs: SERVING_MAX_MS,
      isReached: () => servingTrouble(parts),
    },
    {
      name: 'every key has all its copies',
      maxMs: WHOLE_MAX_MS,
      isReached: () => thinTrouble(parts),
    },
  ];
  for (const { name, maxMs, isReached } of steps) {
    const startMs = cluster.nowMs;
    let trouble: string | null = null;
    const isThere = await cluster.runUntil(() => {
      trouble = isReached();
      return trouble === null;
    }, maxMs);
    say(`${name}: ${isThere ? `after ${(cluster.nowMs - startMs).toFixed(0)} ms` : 'no'}`);
    if (!isThere) return [`not within ${maxMs} ms: ${name} (${String(trouble)})`];
    if (name.startsWith('every coordinator')) {
      const written = await writes(parts);
      if (written.length > 0) return written;
    }
  }
  const left = await leftovers(parts);
  return [...left, ...(await readBack(parts))];
}

/**
 * Beyond what was promised nothing need come true. What is answered still must be right, so every key is
 * asked for once through everybody, and the history tells.
 */
export async function finishBeyond({ cluster, keys, prober }: FinishParts): Promise<void> {
  await cluster.run(BEYOND_MS);
  await settled(cluster, READ_MAX_MS, async () => {
    for (const host of cluster.coordinators) {
      for (const key of keys) await prober.readBack(host, key);
    }
  });
}

/** Why the cluster does not serve as a whole; null where it does. */
function servingTrouble({ cluster, appliedMax }: FinishParts): string | null {
  for (const host of cluster.hosts) {
    if (!host.isUp)
      return `${host.name} is down${host.fatal === null ? '' : `: ${host.fatal.message}`}`;
  }
  const leader = leaderOf(cluster);
  if (leader === null) return 'nobody leads';
  for (const host of cluster.coordinators) {
    const member = host.coordinator?.member ?? null;
    if (member === null || host.gateway === null) return `${host.name} serves nothing`;
    if (member.consensus.status().recovering) return `${host.name} is recovering`;
    if (!member.metadata.isTrusted) return `${host.name} doubts its state`;
    if (member.metadata.appliedIndex < appliedMax()) {
      return `${host.name} has applied ${member.metadata.appliedIndex} of ${appliedMax()}`;
    }
  }
  return volumeTrouble(cluster, leader);
}

function volumeTrouble(cluster: SimCluster, leader: Member): string | null {
  const names = new Set(leader.registry.live().map(({ name }) => name));
  for (const { name } of cluster.volumes) {
    if (!names.has(name)) return `${name} is not heard`;
  }
  return null;
}

function thinTrouble({ cluster }: FinishParts): string | null {
  const leader = leaderOf(cluster);
  if (leader === null) return 'nobody leads';
  const { metadata } = leader;
  const { underReplicated, lost } = metadata.counters;
  const unreconciled = metadata.disks().filter((disk) => disk.state !== 'gone' && !disk.reconciled);
  const replaced = replacedDisks(cluster, metadata.disks()).filter(({ state }) => state !== 'gone');
  const named = namedGoneDisks(metadata.disks());
  if (lost > 0) return `${lost} keys are lost`;
  if (underReplicated > 0) return `${underReplicated} keys lack copies`;
  if (unreconciled.length > 0) return `${unreconciled.length} disks are not reconciled`;
  if (replaced.length > 0) return `${replaced.length} replaced disks are not gone`;
  if (named.length > 0) return `${named.length} gone disks are still named by keys`;
  return null;
}

/** One write through each coordinator. */
async function writes({ cluster, prober, recorder, say }: FinishParts): Promise<readonly string[]> {
  const troubles: string[] = [];
  for (const host of cluster.coordinators) {
    const startMs = cluster.nowMs;
    const before = recorder.operations.length;
    const isDone = await settled(cluster, WRITE_MAX_MS, async () => {
      let isWritten = false;
      while (!isWritten) isWritten = await prober.probe(host, `probe/${host.name}`);
    });
    if (!isDone) troubles.push(`no write through ${host.name} within ${WRITE_MAX_MS} ms`);
    say(
      `write through ${host.name}: ${(cluster.nowMs - startMs).toFixed(0)} ms, ${recorder.operations.length - before} tries`,
    );
  }
  return troubles;
}

/** After fence and grace volumes hold what records name, and nothing else that counts. */
async function leftovers(parts: FinishParts): Promise<readonly string[]> {
  const { cluster, fenceMs, graceMs } = parts;
  await cluster.run(fenceMs + graceMs);
  let differences: readonly string[] = [];
  const endMs = cluster.nowMs + REST_MAX_MS;
  do {
    await cluster.run(SECOND_MS);
    const isDone = await settled(cluster, REST_MAX_MS, async () => {
      differences = await differencesOf(parts);
    });
    if (!isDone) return ['volumes do not answer what copies they hold'];
  } while (differences.length > 0 && cluster.nowMs < endMs);
  return differences.slice(0, 5);
}

async function differencesOf({ cluster }: FinishParts): Promise<readonly string[]> {
  const leader = leaderOf(cluster);
  if (leader === null) return ['nobody leads'];
  const disks = new Map(leader.metadata.disks().map((disk) => [disk.disk, disk]));
  const named = new Set<string>();
  const page = await leader.metadata.list({
    prefix: NONE,
    start: NONE,
    end: NONE,
    after: null,
    limit: 1000,
  });
  for (const { key } of page.entries) {
    for (const { disk, copyId } of leader.metadata.record(key)?.copies ?? []) {
      named.add(`${disks.get(disk)?.volume ?? 'nobody'} ${copyId} (${textOf(key)})`);
    }
  }
  const held = new Set<string>();
  for (const host of cluster.volumes) {
    const engine = host.volume?.engine ?? null;
    if (engine === null) return [`${host.name} has no engine`];
    try {
      const states = await statesOf(engine, ['open', 'staged', 'committed']);
      for (const copyId of states.keys()) held.add(`${host.name} ${copyId}`);
    } catch (error) {
      // A fault of its disk that was waiting for the next call.
      return [`${host.name} does not say what it holds: ${String(error)}`];
    }
  }
  const bare = new Set([...named].map((name) => name.replace(/ \(.*$/, '')));
  return [
    ...[...held].filter((name) => !bare.has(name)).map((name) => `left over: ${name}`),
    ...[...named]
      .filter((name) => !held.has(name.replace(/ \(.*$/, '')))
      .map((name) => `missing: ${name}`),
  ];
}

/** Every key through every coordinator, byte by byte; all of it goes into the history too. */
async function readBack({ cluster, keys, prober }: FinishParts): Promise<readonly string[]> {
  const troubles: string[] = [];
  for (const host of cluster.coordinators) {
    const unread = new Set(keys);
    const isDone = await settled(cluster, READ_MAX_MS + keys.length * 100, async () => {
      for (const key of keys) {
        let isRead = false;
        while (!isRead) isRead = await prober.readBack(host, key);
        unread.delete(key);
      }
    });
    if (!isDone) troubles.push(`${host.name} cannot read ${[...unread][0] ?? ''}`);
  }
  return troubles;
}

/** Drives the run until `work` is done. */
export async function settled(
  cluster: SimCluster,
  maxMs: number,
  work: () => Promise<void>,
): Promise<boolean> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  const working = work();
  working.then(over, over);
  const isDone = await cluster.runUntil(() => isOver, maxMs);
  if (isDone) await working;
  return isDone;
}

const NONE = new Uint8Array(0);

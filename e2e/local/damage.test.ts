/**
 * Goal: decay and torn tails, wherever they strike, change no answer, are named in the log and in a
 * metric, and are mended.
 * Method: one cluster whose coordinators cache no values. Files are harmed while their process is down
 * (or, where it says so, while it runs); then every key is read through every coordinator, and the
 * volumes' files are read by their documented format until each holds a sound copy of each key again.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, httpUrl, ON_VOLUMES } from '../harness/cluster.ts';
import { framesOf } from '../harness/frames.ts';
import { append, flipBit, sizeOf, truncate } from '../harness/harm.ts';
import { randomValue } from '../harness/kv.ts';
import { Ledger } from '../harness/ledger.ts';
import { metadataFolder } from '../harness/metadata-folder.ts';
import { sample } from '../harness/scrape.ts';
import { waitFor } from '../harness/wait-for.ts';

const KIB = 1024;
const HEAL_MS = 30_000;
const OFTEN = Array.from({ length: 16 }, (_, i) => `often-${i}`);
const VARIABLES = { ...ON_VOLUMES, MINIKV_BLOB_CACHE: '0', MINIKV_SEGMENT_BYTES: '512KiB' };

let cluster: Cluster;
let ledger: Ledger;

beforeAll(async () => {
  cluster = await Cluster.start([], VARIABLES);
  ledger = new Ledger(cluster);
  for (let i = 0; i < 40; i += 1) await ledger.put(`key-${i}`, randomValue(1 + i * 997));
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

/** Longest time to an election: the shortest silence of a leader, and as much again at random. */
const ELECTION_MS = 1200;

/** Fails as soon as the condition does not hold. */
async function stays(what: string, forMs: number, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    if (!(await holds())) throw new Error(`no longer: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const url = (name: string): string => httpUrl(cluster.row(name).http);
const volumeDamage = (name: string, kind: string): Promise<number> =>
  sample(url(name), `minikv_volume_damage_total{kind="${kind}"}`);
const metadataDamage = (name: string, kind: string): Promise<number> =>
  sample(url(name), `minikv_metadata_damage_total{kind="${kind}"}`);
const logDamage = (name: string, kind: string): Promise<number> =>
  sample(url(name), `minikv_raft_log_damage_total{kind="${kind}"}`);
/** What a node says of itself; nothing where it does not answer. */
const view = (name: string): Promise<Record<string, unknown>> =>
  cluster.status(url(name)).catch(() => ({}));
const folderOf = (name: string): string => cluster.row(name).dataDir;

/** Where the slot of the higher sequence begins in a two-slot file with slots of 4096 bytes. */
async function newerSlot(path: string): Promise<number> {
  const bytes = await readFile(path);
  const [first, second] = [bytes.readBigUInt64LE(9), bytes.readBigUInt64LE(4096 + 9)];
  return first > second ? 0 : 4096;
}

/** A line of the present life with these fields. */
const logged = (name: string, fields: Record<string, unknown>): boolean =>
  cluster
    .lines(name)
    .some((line) => Object.entries(fields).every(([field, value]) => line[field] === value));

async function restart(name: string): Promise<void> {
  cluster.restart(name);
  await cluster.ready();
}

/** Reads a key through all coordinators in turn until `isSeen`: copies are picked at random. */
async function readUntil(key: string, isSeen: () => Promise<boolean>): Promise<void> {
  await waitFor(`the bad copy of ${key} is met`, HEAL_MS, async () => {
    expect(await ledger.wrongReads()).toEqual([]);
    return isSeen();
  });
}

describe('a flipped bit in a live value', () => {
  test('of the active segment, while the volume was down', async () => {
    await cluster.kill('v1', 'SIGKILL');
    const copy = await ledger.copyOn('v1', 'key-38');
    expect(copy.sealed).toBe(false);
    await flipBit(copy.path, copy.dataAt + 100);
    await restart('v1');
    expect(await volumeDamage('v1', 'corrupt_record')).toBe(1);
    expect(logged('v1', { kind: 'corrupt_record', offset: copy.offset })).toBe(true);
    expect(await ledger.wrongReads()).toEqual([]);
    await ledger.healed(HEAL_MS);
  }, 90_000);

  test('of a sealed segment, after a clean stop: found and mended before anybody reads it', async () => {
    await cluster.kill('v2', 'SIGTERM');
    const copy = await ledger.copyOn('v2', 'key-5');
    expect(copy.sealed).toBe(true);
    await flipBit(copy.path, copy.dataAt + 100);
    await restart('v2');
    const isFound = async (): Promise<boolean> =>
      (await volumeDamage('v2', 'corrupt_record')) === 1;
    await waitFor('the scrub meets it', HEAL_MS, isFound);
    expect(logged('v2', { kind: 'corrupt_record', offset: copy.offset })).toBe(true);
    await ledger.healed(HEAL_MS);
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);

  test('while the volume runs', async () => {
    await cluster.kill('v3', 'SIGTERM');
    await restart('v3');
    const copy = await ledger.copyOn('v3', 'key-20');
    await flipBit(copy.path, copy.dataAt + 100);
    await readUntil('key-20', async () => (await volumeDamage('v3', 'corrupt_record')) === 1);
    expect(logged('v3', { kind: 'corrupt_record', offset: copy.offset })).toBe(true);
    await ledger.healed(HEAL_MS);
  }, 90_000);
});

describe("a torn tail of a volume's active segment", () => {
  const brokenOf = async (name: string): Promise<readonly string[]> =>
    readdir(join(folderOf(name), 'broken')).catch(() => []);

  test('in the middle of the last record: cut there, kept aside, and the copy is made again', async () => {
    for (let i = 0; i < 3; i += 1) await ledger.put(`tail-${i}`, randomValue(3 * KIB));
    await cluster.kill('v2', 'SIGKILL');
    const torn = await ledger.copyOn('v2', 'tail-2');
    expect(torn.sealed).toBe(false);
    const kept = await brokenOf('v2');
    await truncate(torn.path, torn.dataAt + KIB);
    await restart('v2');
    expect(await volumeDamage('v2', 'torn_tail')).toBe(1);
    const bytes = torn.dataAt + KIB - torn.offset;
    expect(logged('v2', { kind: 'torn_tail', offset: torn.offset, bytes })).toBe(true);
    const [broken = ''] = (await brokenOf('v2')).filter((name) => !kept.includes(name));
    expect(await sizeOf(join(folderOf('v2'), 'broken', broken))).toBe(bytes);
    // Nobody reads it meanwhile: the volume's unclean start is reason enough to look.
    await ledger.healed(HEAL_MS);
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);

  test('with garbage behind its end: cut off, and nothing is missing', async () => {
    await cluster.kill('v3', 'SIGKILL');
    const { path } = await ledger.copyOn('v3', 'tail-2');
    const end = await sizeOf(path);
    await append(path, randomValue(300));
    await restart('v3');
    expect(await volumeDamage('v3', 'torn_tail')).toBe(1);
    expect(logged('v3', { kind: 'torn_tail', offset: end, bytes: 300 })).toBe(true);
    expect(logged('v3', { kind: 'corrupt_record', offset: end })).toBe(false);
    expect(await ledger.missingOn('v3')).toEqual([]);
    expect(await ledger.wrongReads()).toEqual([]);
    await ledger.healed(HEAL_MS);
  }, 90_000);

  test('that a clean stop had vouched for is loss: the copy is missed and made again', async () => {
    await ledger.put('tail-3', randomValue(3 * KIB));
    await cluster.kill('v1', 'SIGTERM');
    const torn = await ledger.copyOn('v1', 'tail-3');
    await truncate(torn.path, torn.offset);
    await restart('v1');
    expect(await volumeDamage('v1', 'lost_bytes')).toBe(1);
    expect(logged('v1', { kind: 'lost_bytes' })).toBe(true);
    await ledger.healed(HEAL_MS);
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);
});

describe("a coordinator's Raft log", () => {
  test('with half a frame behind its end: cut, kept aside, and the node goes on', async () => {
    await cluster.kill('c2', 'SIGKILL');
    await ledger.put('while-c2-is-down', randomValue(5 * KIB));
    const last = (await framesOf(folderOf('c2'))).at(-1);
    if (last === undefined) throw new Error('the log is empty');
    const end = await sizeOf(last.path);
    await append(last.path, last.payload.subarray(0, 20));
    await restart('c2');
    expect(await logDamage('c2', 'torn_tail')).toBe(1);
    expect(logged('c2', { kind: 'torn_tail', position: end, bytesDropped: 20 })).toBe(true);
    expect(await sizeOf(`${last.path}.${end}.broken`)).toBe(20);
    expect(await cluster.status(url('c2'))).toMatchObject({ state: 'member', caughtUp: true });
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);

  test('with a flipped bit in what was synced: the node recovers, elects nobody meanwhile, and is whole again', async () => {
    for (const name of ['c1', 'c2', 'c3']) await cluster.kill(name, 'SIGKILL');
    const frames = await framesOf(folderOf('c1'));
    const bad = frames[Math.floor(frames.length / 2)];
    if (bad === undefined) throw new Error('the log is empty');
    await flipBit(bad.path, bad.offset + 30);
    cluster.restart('c1');
    cluster.restart('c2');
    await waitFor('c1 recovers', 20_000, async () => (await view('c1'))['state'] === 'recovering');
    expect(await logDamage('c1', 'corruption')).toBe(1);
    expect(logged('c1', { kind: 'corruption', position: bad.offset })).toBe(true);
    await stays('nobody leads', 3 * ELECTION_MS, async () => {
      const seen = await Promise.all(['c1', 'c2'].map(view));
      return seen.every((one) => one['is_leader'] !== true);
    });
    cluster.restart('c3');
    await cluster.ready();
    expect(await cluster.leader()).not.toBe('c1');
    expect(await cluster.status(url('c1'))).toMatchObject({ state: 'member', caughtUp: true });
    expect(await ledger.wrongReads()).toEqual([]);
    await cluster.kill('c1', 'SIGKILL');
    await restart('c1');
    expect(await logDamage('c1', 'corruption')).toBe(0);
    expect(await ledger.wrongReads(['c1'])).toEqual([]);
  }, 90_000);

  test('that is gone: the node recovers and keeps its term', async () => {
    await cluster.kill('c3', 'SIGTERM');
    const { term } = await view(await cluster.leader());
    await rm(join(folderOf('c3'), 'raft/log'), { recursive: true });
    await restart('c3');
    expect(await logDamage('c3', 'lost')).toBeGreaterThanOrEqual(1);
    expect(logged('c3', { kind: 'lost', position: 0 })).toBe(true);
    const now = await view('c3');
    expect(now).toMatchObject({ state: 'member', caughtUp: true });
    expect(now['term']).toBeGreaterThanOrEqual(Number(term));
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);

  test('beside a vote file whose newer slot has a flipped bit: the log speaks, nothing is lost', async () => {
    await cluster.kill('c2', 'SIGKILL');
    const path = join(folderOf('c2'), 'raft/vote');
    await flipBit(path, (await newerSlot(path)) + 30);
    await restart('c2');
    expect(await logDamage('c2', 'vote_slot')).toBe(1);
    expect(logged('c2', { kind: 'vote_slot' })).toBe(true);
    for (const kind of ['corruption', 'lost', 'vote_file']) {
      expect(await logDamage('c2', kind)).toBe(0);
    }
    expect(await ledger.wrongReads()).toEqual([]);
  }, 90_000);

  test('that is gone with the vote file: the node refuses to start, and the others serve', async () => {
    await cluster.kill('c1', 'SIGKILL');
    const [raft, aside] = ['raft', 'raft-aside'].map((name) => join(folderOf('c1'), name));
    if (raft === undefined || aside === undefined) throw new Error('no folder');
    await rename(raft, aside);
    cluster.restart('c1');
    expect(await cluster.ended('c1', 20_000)).toBe(1);
    expect(cluster.lastWords('c1')).toContain('must join as a new node');
    expect(await ledger.wrongReads(['c2', 'c3'])).toEqual([]);
    // What it had promised comes back: so does the node.
    await rm(raft, { recursive: true });
    await rename(aside, raft);
    await restart('c1');
    expect(await ledger.wrongReads(['c1'])).toEqual([]);
  }, 90_000);
});

test('a volume that lost all but its identity is not taken for a clean one, and is filled again', async () => {
  await cluster.kill('v3', 'SIGTERM');
  for (const name of ['segments', 'wal', 'index.snapshot']) {
    await rm(join(folderOf('v3'), name), { recursive: true });
  }
  await restart('v3');
  expect(await volumeDamage('v3', 'snapshot')).toBe(1);
  expect(logged('v3', { kind: 'snapshot' })).toBe(true);
  await ledger.healed(HEAL_MS);
  expect(await ledger.wrongReads()).toEqual([]);
}, 90_000);

test('a flipped bit in one slot of an identity changes nothing but a count', async () => {
  for (const [name, file, damage] of [
    ['c2', 'identity', logDamage],
    ['v2', 'volume.identity', volumeDamage],
  ] as const) {
    const before = await view(name);
    await cluster.kill(name, 'SIGTERM');
    await flipBit(join(folderOf(name), file), 30);
    await restart(name);
    expect(await damage(name, 'identity_slot')).toBe(1);
    expect(logged(name, { kind: 'identity_slot' })).toBe(true);
    const { clusterId } = await view(name);
    expect(clusterId).toBe(before['clusterId']);
  }
  expect(await ledger.wrongReads()).toEqual([]);
  await ledger.healed(HEAL_MS);
}, 90_000);

describe("a coordinator's metadata", () => {
  const tableOf = (name: string): Promise<string> => metadataFolder(folderOf(name));
  const files = async (name: string, ending: RegExp): Promise<readonly string[]> => {
    const table = await tableOf(name);
    return (await readdir(table))
      .filter((file) => ending.test(file))
      .map((file) => join(table, file));
  };

  /** Harms the files while the node is down; it must name the damage and read right again. */
  async function rebuilt(name: string, kind: string, harm: () => Promise<void>): Promise<void> {
    await cluster.kill(name, 'SIGKILL');
    await harm();
    await restart(name);
    expect(await metadataDamage(name, kind)).toBe(1);
    expect(logged(name, { kind })).toBe(true);
    expect(await ledger.wrongReads([name])).toEqual([]);
    const key = `after-${name}-${kind}`;
    await ledger.put(key, randomValue(KIB));
    await cluster.kill(name, 'SIGKILL');
    await restart(name);
    expect(await metadataDamage(name, kind)).toBe(0);
    expect(await ledger.wrongReads([name])).toEqual([]);
  }

  test('with a flipped bit in a table file, in a key of which LevelDB says nothing', async () => {
    await rebuilt('c1', 'table_file', async () => {
      for (const path of await files('c1', /\.ldb$/)) {
        const at = (await readFile(path)).indexOf('key-3');
        if (at >= 0) return flipBit(path, at);
      }
      throw new Error('no table file holds the key');
    });
  }, 90_000);

  test('with a table that a crash has left half written: nobody needs it, and nothing is rebuilt', async () => {
    await cluster.kill('c2', 'SIGKILL');
    const [whole = ''] = await files('c2', /\.ldb$/);
    const half = join(await tableOf('c2'), '999999.ldb');
    await writeFile(half, (await readFile(whole)).subarray(0, 100));
    await restart('c2');
    expect(await metadataDamage('c2', 'table_file')).toBe(0);
    expect(await files('c2', /^999999/)).toEqual([]);
    expect(await ledger.wrongReads(['c2'])).toEqual([]);
  }, 90_000);

  test('with a flipped bit in the manifest', async () => {
    await rebuilt('c2', 'unopenable', async () => {
      const [path = ''] = await files('c2', /^MANIFEST/);
      await flipBit(path, 20);
    });
  }, 90_000);

  test('with a flipped bit in the log of LevelDB', async () => {
    // Several flushes in more than one of its blocks: what it drops then leaves a hole.
    await cluster.kill('c3', 'SIGTERM');
    await restart('c3');
    await waitFor('a log of three blocks', 30_000, async () => {
      await Promise.all(OFTEN.map((key) => ledger.put(key, randomValue(10))));
      const [path = ''] = await files('c3', /\.log$/);
      return (await sizeOf(path)) > 3 * 32 * KIB;
    });
    await rebuilt('c3', 'flush_chain', async () => {
      const [path = ''] = await files('c3', /\.log$/);
      await flipBit(path, 5000);
    });
  }, 90_000);
});

/**
 * Goal: a coordinator whose metadata or log are damaged is rebuilt by a snapshot where the log that the
 * others hold does not reach back to its beginning, and reads right afterwards.
 * Method: enough large entries that every log is cut; then the manifest of one node's LevelDB gets a
 * flipped bit, and another node loses its log and its metadata together.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { flipBit } from '../harness/harm.ts';
import { get, put } from '../harness/kv.ts';
import { metadataFolder } from '../harness/metadata-folder.ts';
import { sample } from '../harness/scrape.ts';
import { waitFor } from '../harness/wait-for.ts';

/** A log keeps 10,000 entries behind its flushed state, in segments of 16 MiB: about 5,500 of these. */
const KEYS = 17_000;
const HEADERS = { 'x-minikv-meta-filler': 'x'.repeat(1900) };
const keyOf = (i: number): string => `${'k'.repeat(900)}-${i}`;
const WRITERS = 32;
const READS = 500;

let cluster: Cluster;
const url = (name: string): string => httpUrl(cluster.row(name).http);
const valueOf = (i: number): Buffer => Buffer.from(`value of ${i}`);

beforeAll(async () => {
  cluster = await Cluster.start([], { MINIKV_BLOB_CACHE: '0' });
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

async function writeAll(): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < KEYS; i = next++) {
      await waitFor(`PUT ${i}`, 20_000, async () => {
        const base = cluster.urls[i % cluster.urls.length] ?? '';
        const { status } = await put(base, keyOf(i), valueOf(i), HEADERS);
        return status === 201 || status === 200;
      });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** Keys that a coordinator does not read right, of a sample over all. */
async function wrongReads(name: string): Promise<string[]> {
  const wrong: string[] = [];
  for (let n = 0; n < READS; n += 1) {
    const i = Math.floor((n * KEYS) / READS);
    const { status, body } = await get(url(name), keyOf(i));
    if (status !== 200 || !body.equals(valueOf(i))) wrong.push(`k${i}: ${status}`);
  }
  return wrong;
}

/** The first segment of its log is gone from the disk. */
async function isCut(name: string): Promise<boolean> {
  const files = await readdir(join(cluster.row(name).dataDir, 'raft/log'));
  return !files.includes('000000000001.log');
}

const tableOf = (name: string): Promise<string> => metadataFolder(cluster.row(name).dataDir);

test('damaged metadata, and log and metadata gone together, are rebuilt by a snapshot', async () => {
  await writeAll();
  for (const name of ['c1', 'c2', 'c3']) {
    await waitFor(`the log of ${name} is cut`, 30_000, () => isCut(name));
  }
  await cluster.kill('c1', 'SIGKILL');
  const table = await tableOf('c1');
  const manifest = (await readdir(table)).find((file) => file.startsWith('MANIFEST')) ?? '';
  await flipBit(join(table, manifest), 20);
  cluster.restart('c1');
  await cluster.ready();
  // A table that the kill left half written is met first, and without the manifest nobody knows that it does not count.
  const kinds = ['unopenable', 'table_file'].map((kind) =>
    sample(url('c1'), `minikv_metadata_damage_total{kind="${kind}"}`),
  );
  expect((await Promise.all(kinds)).toSorted()).toEqual([0, 1]);
  expect(await sample(url('c1'), 'minikv_raft_snapshots_installed_total')).toBe(1);
  expect(await cluster.status(url('c1'))).toMatchObject({ state: 'member', caughtUp: true });
  expect(await wrongReads('c1')).toEqual([]);

  await cluster.kill('c2', 'SIGKILL');
  const folder = cluster.row('c2').dataDir;
  await rm(join(folder, 'raft/log'), { recursive: true });
  await rm(await tableOf('c2'), { recursive: true });
  cluster.restart('c2');
  await cluster.ready();
  expect(await sample(url('c2'), 'minikv_raft_log_damage_total{kind="lost"}')).toBeGreaterThan(0);
  expect(await sample(url('c2'), 'minikv_metadata_damage_total{kind="missing"}')).toBe(1);
  expect(await sample(url('c2'), 'minikv_raft_snapshots_installed_total')).toBe(1);
  expect(await cluster.status(url('c2'))).toMatchObject({ state: 'member', caughtUp: true });
  expect(await wrongReads('c2')).toEqual([]);
}, 240_000);

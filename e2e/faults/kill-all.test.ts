/**
 * Goal: whoever kills all processes at once while coordinators write their metadata to disk, in whatever
 * files that is half done, loses nothing acknowledged, and no coordinator has to get its state from another.
 * Method: PUTs with large headers, so that LevelDB has to write tables; at the sight of a new one in any
 * coordinator all six die by SIGKILL, again and again; then every key that was acknowledged is read, and the
 * logs of all lives.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';
import { rebuilt } from '../harness/health.ts';
import { get, put } from '../harness/kv.ts';
import { metadataFolder } from '../harness/metadata-folder.ts';

const KILLS = 4;
const CLIENTS = 8;
/** A record of two KiB: LevelDB flushes after 2000 of them. */
const HEADERS = { 'x-minikv-meta-a': 'a'.repeat(2000) };
const CREATED = 201;
const TABLE = '.ldb';
const FOOTER_END = Buffer.from('57fb808b247547db', 'hex');

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

const valueOf = (key: string): Buffer => Buffer.from(`value of ${key}`);

/** Where each coordinator's LevelDB is. */
function tableFolders(): Promise<readonly string[]> {
  const coordinators = cluster.rows.filter(({ role }) => role === 'coordinator');
  return Promise.all(coordinators.map(({ dataDir }) => metadataFolder(dataDir)));
}

/** Resolves when any of these folders gets a table. */
async function tableBegun(folders: readonly string[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const watchers: FSWatcher[] = folders.map((folder) =>
    watch(folder, (_, name) => {
      if (name?.endsWith(TABLE) === true) resolve(undefined);
    }),
  );
  await promise;
  for (const watcher of watchers) watcher.close();
}

/** Puts new keys from many clients until a table is being written, and kills all; answers what was acknowledged. */
async function oneLife(life: number): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  let next = 0;
  let isOver = false;
  const client = async (url: string): Promise<void> => {
    while (!isOver) {
      const key = `life-${life}-${next}`;
      next += 1;
      const { status } = await put(url, key, valueOf(key), HEADERS);
      if (status === CREATED) acknowledged.push(key);
    }
  };
  const begun = tableBegun(await tableFolders());
  const clients = Array.from({ length: CLIENTS }, (_, i) => client(cluster.urls[i % 3] ?? ''));
  await begun;
  const deaths = cluster.rows.map(({ name }) => cluster.kill(name, 'SIGKILL'));
  isOver = true;
  await Promise.all([...deaths, ...clients]);
  return acknowledged;
}

/** Tables without the end of their footer. */
async function halfWritten(): Promise<number> {
  let count = 0;
  for (const folder of await tableFolders()) {
    for (const name of await readdir(folder)) {
      if (!name.endsWith(TABLE)) continue;
      const bytes = await readFile(join(folder, name));
      if (!bytes.subarray(-FOOTER_END.length).equals(FOOTER_END)) count += 1;
    }
  }
  return count;
}

test('all processes are killed at once while tables are written, again and again', async () => {
  const acknowledged: string[] = [];
  let half = 0;
  for (let life = 0; life < KILLS; life += 1) {
    acknowledged.push(...(await oneLife(life)));
    half += await halfWritten();
    for (const { name } of cluster.rows) cluster.restart(name);
    await cluster.ready();
  }
  const wrong: string[] = [];
  const unread = [...acknowledged];
  const reader = async (url: string): Promise<void> => {
    for (let key = unread.pop(); key !== undefined; key = unread.pop()) {
      const { status, body } = await get(url, key);
      if (!body.equals(valueOf(key))) wrong.push(`${key}: ${status}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => reader(cluster.urls[i % 3] ?? '')));
  console.log('kill all', { kills: KILLS, acknowledged: acknowledged.length, halfWritten: half });
  expect(acknowledged.length).toBeGreaterThan(1000);
  expect(wrong).toEqual([]);
  expect(await rebuilt(cluster)).toEqual([]);
}, 240_000);

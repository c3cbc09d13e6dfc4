/**
 * Goal: a coordinator whose metadata is not that of the majority is found at the next index that all
 * compare, stops with a clear word, and its next start takes the others' state; they serve throughout.
 * Method: change the running digest in a stopped node's store, with a checksum that fits, and write on.
 */
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { call, get, put } from '../harness/kv.ts';
import { metadataFolder } from '../harness/metadata-folder.ts';
import { waitFor } from '../harness/wait-for.ts';

const META_KEY = Uint8Array.of(0);
const CRC_BYTES = 4;
/** More than lie between two indexes at which states are compared. */
const WRITES = 1100;
const WRITERS = 32;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

/** Another digest, stored as if it were the right one. */
async function changeDigest(dataDir: string): Promise<void> {
  const db = new Level<Uint8Array, Uint8Array>(await metadataFolder(dataDir), {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false,
  });
  const row = Buffer.from((await db.get(META_KEY)) ?? []);
  const end = row.length - CRC_BYTES;
  const last = String.fromCharCode(row[end - 1] ?? 0);
  expect(last).toMatch(/[0-9a-f]/);
  row.write(last === '0' ? '1' : '0', end - 1, 'latin1');
  row.writeUInt32LE(crc32(row.subarray(0, end), crc32(META_KEY)), end);
  await db.put(META_KEY, row, { sync: true });
  await db.close();
}

async function write(urls: readonly string[], round: string, count = WRITES): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next; i < count; i = next) {
      next += 1;
      const { status } = await put(urls[i % urls.length] ?? '', `k/${i}`, Buffer.from(round));
      expect([200, 201]).toContain(status);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

async function metric(name: string, metricName: string): Promise<number> {
  const { body } = await call(`${httpUrl(cluster.row(name).http)}/metrics`);
  const line = body
    .toString()
    .split('\n')
    .find((text) => text.startsWith(`${metricName} `));
  return Number(line?.slice(metricName.length));
}

describe('a coordinator with another state', () => {
  test('stops at the next comparison and comes back with the state of the others', async () => {
    const leader = await cluster.leader();
    const odd = cluster.rows.find(({ role, name }) => role === 'coordinator' && name !== leader);
    if (odd === undefined) throw new Error('no follower');
    const others = cluster.rows
      .filter(({ role, name }) => role === 'coordinator' && name !== odd.name)
      .map(({ http }) => httpUrl(http));
    await write(cluster.urls, 'one', 60);
    await cluster.kill(odd.name, 'SIGTERM');
    await changeDigest(odd.dataDir);
    cluster.restart(odd.name);
    await cluster.ready();

    await write(others, 'two');
    await waitFor('the node stops and says why', 30_000, () =>
      cluster.lastWords(odd.name).includes('STATE_DIVERGED'),
    );
    await waitFor('one of the others has counted it', 10_000, async () => {
      const counts = others.map(async (url) => {
        const row = cluster.rows.find(({ http }) => httpUrl(http) === url);
        return metric(row?.name ?? '', 'minikv_state_digest_mismatches_total');
      });
      return Math.max(...(await Promise.all(counts))) > 0;
    });

    cluster.restart(odd.name);
    await cluster.ready();
    await write(others, 'three');
    await waitFor('it has the state of a majority', 30_000, async () => {
      return (await metric(odd.name, 'minikv_state_agreed_index')) > 0;
    });
    expect((await get(httpUrl(odd.http), 'k/7')).body.toString()).toBe('three');
    expect(await metric(odd.name, 'minikv_state_diverged_total')).toBe(0);
  }, 150_000);
});

/**
 * Goal: a volume whose disk was put back from an older image is taken back, and every copy that the
 * image lacks is found and made anew without any read. Method: copy a killed volume's folder, write
 * and delete more, put the folder back, watch the metrics, then read from that volume alone.
 */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { call, get, put, randomValue, remove } from '../harness/kv.ts';
import { waitFor } from '../harness/wait-for.ts';

/** More than the blob cache of a coordinator keeps. */
const VALUE_BYTES = 300 * 1024;

let cluster: Cluster;
const url = (i: number): string => cluster.urls[i % cluster.urls.length] ?? '';

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

/** The highest value of a metric over all coordinators: counters stand on the one that led. */
async function metric(name: string): Promise<number> {
  const texts = await Promise.all(cluster.urls.map((base) => call(`${base}/metrics`)));
  const values = texts.map(({ body }) => {
    const line = body
      .toString()
      .split('\n')
      .find((text) => text.startsWith(`${name} `));
    return line === undefined ? Number.NaN : Number(line.slice(name.length));
  });
  return Math.max(...values);
}

async function fill(prefix: string, count: number): Promise<ReadonlyMap<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (let i = 0; i < count; i += 1) {
    const value = randomValue(VALUE_BYTES + i);
    const { status, headers } = await put(url(i), `${prefix}/${i}`, value);
    expect([status, headers.get('x-replicas')]).toEqual([201, '3/3']);
    values.set(`${prefix}/${i}`, value);
  }
  return values;
}

/** Three copies are written again: every coordinator hears all volumes. */
const allHeard = (): Promise<void> =>
  waitFor('all volumes are heard', 30_000, async () => {
    const probes = cluster.urls.map((base, i) => put(base, `probe/${i}`, Buffer.from('x')));
    const answers = await Promise.all(probes);
    return answers.every(({ headers }) => headers.get('x-replicas') === '3/3');
  });

describe('an older image of a disk', () => {
  test('is taken back, and what it lacks is made anew', async () => {
    const { dataDir } = cluster.row('v2');
    const image = join(cluster.folder, 'image-of-v2');
    const old = await fill('old', 6);
    await cluster.kill('v2', 'SIGKILL');
    await cp(dataDir, image, { recursive: true });
    cluster.restart('v2');
    await cluster.ready();
    await allHeard();

    const fresh = await fill('fresh', 12);
    expect((await remove(url(0), 'old/0')).status).toBe(204);
    expect((await put(url(1), 'old/1', randomValue(10))).status).toBe(200);
    await cluster.kill('v2', 'SIGKILL');
    await rm(dataDir, { recursive: true });
    await cp(image, dataDir, { recursive: true });
    cluster.restart('v2');
    await cluster.ready();

    await waitFor('the disk is reconciled and every key whole', 60_000, async () => {
      const owed = await metric('minikv_unreconciled_disks');
      const thin = await metric('minikv_under_replicated_keys');
      return owed === 0 && thin === 0;
    });
    expect(await metric('minikv_copies_missing_total')).toBeGreaterThanOrEqual(fresh.size);
    expect(await metric('minikv_lost_keys')).toBe(0);
    const status = await call(`${httpUrl(cluster.row('v2').http)}/admin/status`);
    // Opened twice before the image was put back, which knew of one opening.
    expect(JSON.parse(status.body.toString())).toMatchObject({ state: 'serving', boots: 3 });

    await cluster.kill('v1', 'SIGKILL');
    await cluster.kill('v3', 'SIGKILL');
    for (const [key, value] of fresh) {
      await waitFor(`${key} reads from v2`, 20_000, async () => {
        const read = await get(url(1), key);
        return read.status === 200 && read.body.equals(value);
      });
    }
    const kept = old.get('old/2');
    expect((await get(url(2), 'old/2')).body.equals(kept ?? Buffer.alloc(0))).toBe(true);
    expect((await get(url(2), 'old/0')).status).toBe(404);
  }, 180_000);
});

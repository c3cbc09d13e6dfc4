/**
 * Goal: an upload that is torn off in the middle changes no key, and its bytes are gone from all volumes
 * at once: nobody has to wait for a fence, since nothing was voted for.
 * Method: uploads fed by hand, torn off by the client or by the death of a process once all volumes
 * hold some of their bytes; the fence stays at its minute.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { allDecided, calm, holdings } from '../harness/health.ts';
import { get, put, randomValue } from '../harness/kv.ts';
import { openUpload, type Upload } from '../harness/upload.ts';
import { waitFor } from '../harness/wait-for.ts';

const MIB = 1024 * 1024;
/** Far below the fence. */
const SOON_MS = 5000;
const TEST_TIMEOUT_MS = 60_000;

let cluster: Cluster;
let keys = 0;
let key = '';
let liveBefore: readonly number[] = [];
const before = randomValue(1000);
const url = (i: number): string => cluster.urls[i % cluster.urls.length] ?? '';

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

beforeEach(async () => {
  await calm(cluster);
  keys += 1;
  key = `torn/${keys}`;
  expect((await put(url(0), key, before)).status).toBe(201);
  await allDecided(cluster, SOON_MS);
  liveBefore = await liveBytes();
}, TEST_TIMEOUT_MS);

const liveBytes = async (): Promise<readonly number[]> =>
  (await holdings(cluster)).map(({ live }) => live);

/** Feeds an upload until every volume holds some of its bytes. */
async function half(upload: Upload): Promise<void> {
  for (let i = 0; i < 3; i += 1) await upload.write(randomValue(MIB));
  await waitFor('open bytes on all volumes', SOON_MS, async () =>
    (await holdings(cluster)).every(({ open }) => open > 0),
  );
}

async function readsEverywhere(value: Buffer): Promise<void> {
  for (const base of cluster.urls) {
    await waitFor(`${key} reads through ${base}`, SOON_MS, async () => {
      const read = await get(base, key);
      if (read.status !== 200) return false;
      expect(read.body.equals(value)).toBe(true);
      return true;
    });
  }
}

/** The key has its old value, the volumes what they had, and the next write succeeds. */
async function nothingHappened(): Promise<void> {
  await readsEverywhere(before);
  await allDecided(cluster, SOON_MS);
  expect(await liveBytes()).toEqual(liveBefore);
  await readsEverywhere(before);
  expect((await put(url(1), key, randomValue(10))).status).toBe(200);
}

describe('the client vanishes', () => {
  test.each([
    ['of a chunked body', null],
    ['of a body of declared length', 8 * MIB],
  ])(
    'in the middle %s',
    async (_name, contentLength) => {
      const upload = openUpload(url(0), key, { contentLength });
      await half(upload);
      upload.vanish();
      await nothingHappened();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'having sent less than it declared, and waits for the answer',
    async () => {
      const { hostname, port } = new URL(url(0));
      for (const sentBytes of [10, 3 * MIB]) {
        const socket = connect(Number(port), hostname);
        const closed = new Promise<string>((resolve) => {
          let answer = '';
          socket.on('data', (piece: Buffer) => {
            answer += piece.toString('latin1');
          });
          socket.on('error', () => undefined);
          socket.on('close', () => resolve(answer));
        });
        socket.write(`PUT /kv/${key} HTTP/1.1\r\nHost: x\r\nContent-Length: ${4 * MIB}\r\n\r\n`);
        socket.end(randomValue(sentBytes));
        expect(await closed).not.toMatch(/^HTTP\/1.1 2/);
      }
      await nothingHappened();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'with all bytes of a chunked body sent, but not its end',
    async () => {
      for (const bytes of [MIB / 8, 3 * MIB]) {
        const upload = openUpload(url(1), key, { contentLength: null });
        await upload.write(randomValue(bytes));
        upload.vanish();
      }
      await nothingHappened();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'many at once, through every coordinator',
    async () => {
      const uploads = Array.from({ length: 12 }, (_, i) =>
        openUpload(url(i), key, { contentLength: i % 2 === 0 ? null : 8 * MIB }),
      );
      await Promise.all(uploads.map((upload) => half(upload)));
      for (const upload of uploads) upload.vanish();
      await nothingHappened();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'right after the last byte: the whole value or none of it',
    async () => {
      const possible = [before];
      for (const size of [100, MIB]) {
        const value = randomValue(size);
        possible.push(value);
        const upload = openUpload(url(2), key, { contentLength: size });
        await upload.write(value);
        upload.vanish();
      }
      await allDecided(cluster, 2 * SOON_MS);
      const { body } = await get(url(0), key);
      expect(possible.filter((value) => value.equals(body))).toHaveLength(1);
      await readsEverywhere(body);
    },
    TEST_TIMEOUT_MS,
  );
});

describe('in the middle of a body', () => {
  const restartAll = async (name: string): Promise<void> => {
    cluster.restart(name);
    await calm(cluster);
  };

  test.each([
    ['the gateway, which leads', true],
    ['the gateway, which does not lead', false],
  ])(
    '%s, dies',
    async (_name, leads) => {
      const leader = await cluster.leader();
      const gateway = cluster.rows.find(
        ({ name, role }) => role === 'coordinator' && (name === leader) === leads,
      );
      const { name, http } = cluster.row(gateway?.name ?? '');
      const upload = openUpload(httpUrl(http), key, { contentLength: 8 * MIB });
      await half(upload);
      await cluster.kill(name, 'SIGKILL');
      expect((await upload.answer).status).toBe(0);
      await waitFor('no open bytes', SOON_MS, async () =>
        (await holdings(cluster)).every(({ open }) => open === 0),
      );
      await restartAll(name);
      await nothingHappened();
    },
    TEST_TIMEOUT_MS,
  );

  test.each([
    ['a volume dies: the others take the value', 'volume'],
    ['another leader dies: the gateway goes on', 'leader'],
  ])(
    '%s',
    async (_name, victim) => {
      const leader = await cluster.leader();
      const gateway = cluster.rows.find(
        ({ name, role }) => role === 'coordinator' && name !== leader,
      );
      const value = randomValue(8 * MIB);
      const upload = openUpload(httpUrl(gateway?.http ?? ''), key, { contentLength: value.length });
      await upload.write(value.subarray(0, 3 * MIB));
      await waitFor('open bytes on all volumes', SOON_MS, async () =>
        (await holdings(cluster)).every(({ open }) => open > 0),
      );
      const name = victim === 'volume' ? 'v2' : leader;
      await cluster.kill(name, 'SIGKILL');
      await upload.write(value.subarray(3 * MIB));
      upload.end();
      const { status, headers } = await upload.answer;
      expect([status, headers['x-replicas']]).toEqual([200, victim === 'volume' ? '2/3' : '3/3']);
      await restartAll(name);
      await readsEverywhere(value);
      await allDecided(cluster, 2 * SOON_MS);
    },
    TEST_TIMEOUT_MS,
  );
});

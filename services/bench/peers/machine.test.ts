/** What counts as other work, how rows are named, and single requests of each dialect. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import {
  diskBytesOf,
  isKernelThread,
  otherCoresOf,
  proportionalBytes,
  writeLimit,
} from './machine.ts';
import type { Door } from './peer.ts';
import { groupsOf, QUICK_ROWS, ROWS, rowsNamed } from './rows.ts';
import { getRequest, putRequest, valueIn } from './single.ts';

test('a kernel thread is told by its flags, whatever its name', () => {
  const line = (flags: number): string => `7 (a) 1 b) S 2 0 0 0 -1 ${flags} 0 0 0 0 5 6 0 0`;
  expect([isKernelThread(line(0x0020_8040)), isKernelThread(line(0x0040_4000))]).toEqual([
    true,
    false,
  ]);
});

test('other work is that of all but ours, of those that began meanwhile too', () => {
  const before = new Map([
    [1, 10],
    [2, 5],
    [9, 3],
  ]);
  const after = new Map([
    [1, 30],
    [2, 6],
    [3, 0.5],
  ]);
  const of = { ours: new Set([1]), seconds: 3 };
  expect(otherCoresOf(before, after, of)).toBeCloseTo(0.5);
  expect(otherCoresOf(before, new Map(), of)).toBeNull();
});

test('this process has some memory, and no more than is resident', async () => {
  if (process.platform !== 'linux') return;
  const bytes = await proportionalBytes(process.pid);
  expect(bytes).toBeGreaterThan(10e6);
  expect(bytes).toBeLessThan(process.memoryUsage.rss() * 1.5);
  expect(await proportionalBytes(2 ** 30)).toBeNull();
});

test('a folder is as large as the blocks of its files, and the write limit leaves none behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'minikv-machine-'));
  try {
    expect(await diskBytesOf(folder)).toBe(0);
    expect(writeLimit(folder, 0.01)).toBeGreaterThan(0);
    expect(await diskBytesOf(folder)).toBe(0);
    await writeFile(join(folder, 'a'), Buffer.alloc(100_000, 1));
    expect(await diskBytesOf(folder)).toBeGreaterThanOrEqual(100_000);
    expect(await diskBytesOf(join(folder, 'absent'))).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('rows are named by whole words, and each has a name of its own', () => {
  expect(new Set(ROWS.map(({ id }) => id)).size).toBe(ROWS.length);
  expect(rowsNamed(['put-1k']).map(({ id }) => id)).toEqual([
    'put-1k-64',
    'put-1k-256',
    'put-1k-1',
    'put-1k-32',
  ]);
  expect(rowsNamed(['put-1k-1', 'get-1m']).map(({ id }) => id)).toEqual(['put-1k-1', 'get-1m-16']);
  expect(rowsNamed(QUICK_ROWS)).toHaveLength(QUICK_ROWS.length);
  expect(() => rowsNamed(['put', 'pu'])).toThrow('no row begins with pu');
});

test('rows that fill the disk share a life with no other PUTs', () => {
  const groups = groupsOf(ROWS).map((group) => group.filter(({ sizeBytes }) => sizeBytes > 1e6));
  const writes = groups.map((group) => group.filter(({ workload }) => workload !== 'get').length);
  expect(Math.max(...writes)).toBe(1);
  expect(groupsOf(ROWS).flat()).toHaveLength(ROWS.length);
});

const doorOf = (dialect: Door['dialect']): Door => ({
  ...{ name: 'etcd', durability: '', targets: [], dialect },
});
const TARGET = { host: '127.0.0.1', port: 7 };
const NAME = 'ffffffffffffff01';

test('a single request by path, and its value', () => {
  const door = doorOf({ kind: 'paths', prefixes: ['/3,', '/4,'], suffix: 'ee', putQuery: '?x=1' });
  const url = 'http://127.0.0.1:7/3,ffffffffffffff01ee';
  const value = Buffer.from([1, 2]);
  expect(putRequest(door, TARGET, { name: NAME, value })).toEqual({
    ...{ url: `${url}?x=1`, method: 'PUT', body: value },
  });
  expect(getRequest(door, TARGET, NAME)).toEqual({ url, method: 'GET' });
  expect(valueIn(door, value)).toEqual(value);
});

test('a single request to etcd is in base64, and a value may be absent', () => {
  const door = doorOf({ kind: 'etcd', prefix: 'a/' });
  const key = Buffer.from(`a/${NAME}`).toString('base64');
  expect(putRequest(door, TARGET, { name: NAME, value: Buffer.from([255]) })).toEqual({
    url: 'http://127.0.0.1:7/v3/kv/put',
    method: 'POST',
    body: JSON.stringify({ key, value: '/w==' }),
  });
  expect(getRequest(door, TARGET, NAME)).toMatchObject({ body: JSON.stringify({ key }) });
  expect(valueIn(door, Buffer.from('{"header":{},"kvs":[{"value":"/w=="}]}'))).toEqual(
    Buffer.from([255]),
  );
  expect(valueIn(door, Buffer.from('{"header":{}}'))).toBeNull();
});

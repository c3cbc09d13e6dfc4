/**
 * Goal: a release has no failpoint anywhere, and is a store all the same.
 * Method: `npm run build` into a folder, with the packages of the image beside it; every file of the
 * build is read, then a cluster of it takes a value, loses a process by SIGKILL and has the value still.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeImageFiles } from '../../image/files.ts';
import { present } from '../../services/common/assert.ts';
import { Cluster } from '../harness/cluster.ts';
import { volumesOf } from '../harness/health.ts';
import { get, put, randomValue } from '../harness/kv.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Two slow cores that do something else as well. */
const BUILD_TIMEOUT_MS = 300_000;

const folder = mkdtempSync(join(tmpdir(), 'minikv-release-'));
const built = join(folder, 'dist');
const image = join(folder, 'image');

beforeAll(() => {
  execFileSync('npm', ['run', '-s', 'build', '--', '--outDir', built], { cwd: ROOT });
  writeImageFiles(image, built);
}, BUILD_TIMEOUT_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('no file of the build has a trace of a failpoint', () => {
  const files = readdirSync(built, { recursive: true, encoding: 'utf8' });
  const programs = files.filter((name) => name.endsWith('.js'));
  expect(programs).toContain('services/coordinator/main.js');
  expect(programs).toContain('operator/main.js');
  const traces = programs.filter((name) =>
    /failpoint/i.test(readFileSync(join(built, name), 'utf8')),
  );
  expect(traces).toEqual([]);
});

test('a cluster of the build takes a value and keeps it', async () => {
  const cli = join(image, 'minikv/dist/services/cli/main.js');
  const cluster = await Cluster.start([], {}, cli);
  try {
    const [url = ''] = cluster.urls;
    const value = randomValue(100_000);
    expect((await put(url, 'kept', value)).status).toBe(201);
    const { name } = present(volumesOf(cluster)[0], 'a volume');
    await cluster.kill(name, 'SIGKILL');
    cluster.restart(name);
    await cluster.ready();
    expect((await get(url, 'kept')).body.equals(value)).toBe(true);
  } finally {
    await cluster.stop();
  }
}, 120_000);

/**
 * Goal: a real file tree goes in and comes back identical, with all six processes killed in between.
 * Method: the installed packages of this project, at least 5,000 files, by the command line.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const FILES_MIN = 5000;
let cluster: Cluster;
let folder = '';

beforeAll(async () => {
  cluster = await Cluster.start();
  folder = await mkdtemp(join(tmpdir(), 'minikv-tree-'));
}, 90_000);

afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true, force: true });
}, 90_000);

/** Copies packages until the tree has enough files; plain files only, as a user's tree would be. */
async function growTree(target: string): Promise<number> {
  let files = 0;
  for (const name of (await readdir(join(ROOT, 'node_modules'))).sort()) {
    if (files >= FILES_MIN) return files;
    if (name.startsWith('.') || name.startsWith('@') || name === 'node' || name.startsWith('node-'))
      continue;
    await cp(join(ROOT, 'node_modules', name), join(target, name), {
      recursive: true,
      dereference: true,
    });
    const entries = await readdir(join(target, name), { recursive: true, withFileTypes: true });
    files += entries.filter((entry) => entry.isFile()).length;
  }
  return files;
}

test('import, SIGKILL of all six, export: the tree is identical', async () => {
  const tree = join(folder, 'in');
  const files = await growTree(tree);
  expect(files).toBeGreaterThanOrEqual(FILES_MIN);
  const cli = (...args: string[]) =>
    run(
      process.execPath,
      [join(ROOT, 'services/cli/main.ts'), '--coordinator', cluster.urls.join(','), ...args],
      { maxBuffer: 64 * 1024 * 1024, timeout: 180_000 },
    );
  await cli('import', tree, '--prefix', 'tree/');
  await Promise.all(cluster.rows.map(({ name }) => cluster.kill(name, 'SIGKILL')));
  for (const { name } of cluster.rows) cluster.restart(name);
  await cluster.ready();
  await cli('export', 'tree/', join(folder, 'out'));
  const { stdout } = await run('diff', ['-r', tree, join(folder, 'out')], { maxBuffer: 1 << 24 });
  expect(stdout).toBe('');
}, 300_000);

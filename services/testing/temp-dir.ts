/** Folders on the machine's disk for tests of what only a real file system does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made: string[] = [];

/** A fresh empty folder. */
export async function tempDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'minikv-test-'));
  made.push(path);
  return path;
}

/** Removes all folders made so far; for `afterEach`. */
export async function removeTempDirs(): Promise<void> {
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
}

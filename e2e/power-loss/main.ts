/**
 * One story of power cuts, told as a line of JSON: `main.ts STORY`. It mounts and unmounts, so it runs
 * in a mount namespace of its own (`unshare`), started by faults/power-loss.test.ts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutCluster } from './cluster-story.ts';
import { Images } from './images.ts';
import { cutWriters } from './writers-story.ts';

const CUTS = 3;
/** Six processes take longer to come back. */
const CUTS_OF_SIX = 2;
const ONE = ['--coordinators', '1', '--volumes', '1'];

const STORIES: Readonly<Record<string, (images: Images, folder: string) => Promise<unknown>>> = {
  writers: cutWriters,
  one: (images) => cutCluster(images, { args: ONE, fsync: 'always', cuts: CUTS }),
  unsynced: (images) => cutCluster(images, { args: ONE, fsync: 'never', cuts: 1 }),
  six: (images) => cutCluster(images, { args: [], fsync: 'always', cuts: CUTS_OF_SIX }),
};

const story = STORIES[process.argv[2] ?? ''];
if (story === undefined) throw new Error(`a story of ${Object.keys(STORIES).join(', ')}`);
const folder = await mkdtemp(join(tmpdir(), 'minikv-power-'));
const images = new Images(folder);
try {
  process.stdout.write(`${JSON.stringify(await story(images, folder))}\n`);
} finally {
  images.close();
  await rm(folder, { recursive: true, force: true });
}

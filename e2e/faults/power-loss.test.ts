/**
 * Goal: what was acknowledged with `fsync always` survives the loss of power of its machines, whatever
 * the file system still had in memory, and a start after it is a plain one.
 * Method: e2e/power-loss: ext4 images on XFS, a reflink copy of a stopped process's disk is the cut.
 * The controls show that the cut bites: writers without a sync lose what they acknowledged.
 * Needs root, loop devices and xfsprogs; where they are not to be had the tests are skipped aloud.
 */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, jest, test } from '@jest/globals';
import type { Lives } from '../power-loss/cluster-story.ts';
import { UNSHARE, whatImagesLack } from '../power-loss/images.ts';
import type { WritersTold } from '../power-loss/writers-story.ts';

jest.setTimeout(120_000);
const MAIN = resolve(import.meta.dirname, '../power-loss/main.ts');
const lack = whatImagesLack();
if (lack !== null) console.warn(`SKIPPED: power loss on a real file system: ${lack}`);

/** The story's own words; its mounts are gone with it. */
async function told<T>(story: string): Promise<T> {
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, story];
  const { stdout } = await promisify(execFile)('unshare', [...UNSHARE, ...node]);
  return JSON.parse(stdout) as T;
}

(lack === null ? describe : describe.skip)('the power is lost', () => {
  test('under a writer that never syncs: it loses what it acknowledged; one that syncs does not', async () => {
    const { unsynced, synced } = await told<WritersTold>('writers');
    console.log('raw writers', { unsynced, synced });
    expect(unsynced.kept).toBeLessThan(unsynced.acknowledged);
    expect(synced.kept).toBe(synced.acknowledged);
  });

  test('under a volume that never syncs: acknowledged values are lost, and none is wrong', async () => {
    const { acknowledged, lost, wrong } = await told<Lives>('unsynced');
    console.log('fsync never', { acknowledged, lost: lost.length });
    expect(lost.length).toBeGreaterThan(0);
    expect(wrong).toEqual([]);
  });

  test('under the only coordinator and the only volume, again and again: nothing is lost', async () => {
    const lives = await told<Lives>('one');
    console.log('one and one', { ...lives });
    expect(lives).toMatchObject({ lost: [], wrong: [], damage: [] });
    expect(lives.copies).toBeGreaterThan(0);
    expect(lives.states).toEqual(lives.states.map(() => ({ state: 'member', caughtUp: true })));
  });

  test('under one coordinator and one volume of three: nothing is lost', async () => {
    const lives = await told<Lives>('six');
    console.log('one of three each', { ...lives });
    expect(lives).toMatchObject({ lost: [], wrong: [], damage: [] });
    expect(lives.copies).toBeGreaterThan(0);
    expect(lives.states).toEqual(lives.states.map(() => ({ state: 'member', caughtUp: true })));
  });
});

/**
 * The one way to put a whole file in place: write aside, sync, rename, sync the folder. A crash at any
 * step leaves the old file or the new one, at worst with the file aside as litter.
 */

import { dirname } from 'node:path';
import { failpoint } from '../common/failpoint.ts';
import type { Disk } from './disk.ts';

/** Ending of the file aside; one that is found was never published and may go. */
export const ASIDE_SUFFIX = '.new';

/** Replaces the file at `path` by `parts`, durably once resolved. */
export async function publishFile(
  disk: Disk,
  path: string,
  parts: readonly Uint8Array[],
): Promise<void> {
  const aside = path + ASIDE_SUFFIX;
  await disk.remove(aside);
  const file = await disk.open(aside, 'create');
  try {
    await file.write(0, parts);
    await file.sync();
  } finally {
    await file.close();
  }
  await publishPrepared(disk, aside, path);
}

/** Puts a file that is already written and synced in place, durably once resolved. */
export async function publishPrepared(disk: Disk, aside: string, path: string): Promise<void> {
  failpoint('file.prepared');
  await disk.rename(aside, path);
  failpoint('file.renamed');
  await disk.syncFolder(dirname(path));
  if (dirname(aside) !== dirname(path)) await disk.syncFolder(dirname(aside));
}

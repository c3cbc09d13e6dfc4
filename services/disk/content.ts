import type { Disk } from './disk.ts';

/** All bytes of a file, in memory at once. @throws KvError `NOT_FOUND`, `DISK_FAILED`. */
export async function contentOf(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

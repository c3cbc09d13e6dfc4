/** The control: a writer that never syncs loses what it has acknowledged, one that does loses nothing. */
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Images } from './images.ts';

const RECORD = Buffer.from('acknowledged\n');
const UNSYNCED = 100_000;
const SYNCED = 50;

/** Records acknowledged by each writer, and how many of them the disk had. */
export interface WritersTold {
  readonly unsynced: { readonly acknowledged: number; readonly kept: number };
  readonly synced: { readonly acknowledged: number; readonly kept: number };
}

export async function cutWriters(images: Images, folder: string): Promise<WritersTold> {
  const at = join(folder, 'disk');
  await mkdir(at);
  images.place('disk', at);
  const [unsynced, synced] = await Promise.all(
    ['unsynced', 'synced'].map((name) => open(join(at, name), 'a')),
  );
  if (unsynced === undefined || synced === undefined) throw new Error('no files');
  // Both names are durable; only the bytes are not.
  await Promise.all([unsynced.sync(), synced.sync()]);
  for (let i = 0; i < UNSYNCED / 100; i += 1)
    await unsynced.write(Buffer.concat(Array<Buffer>(100).fill(RECORD)));
  for (let i = 0; i < SYNCED; i += 1) {
    await synced.write(RECORD);
    await synced.datasync();
  }
  images.cut('disk');
  await Promise.all([unsynced.close(), synced.close()]);
  images.powerOn('disk', at);
  const kept = async (name: string): Promise<number> =>
    (await readFile(join(at, name), 'utf8')).split('\n').filter((line) => line === 'acknowledged')
      .length;
  return {
    unsynced: { acknowledged: UNSYNCED, kept: await kept('unsynced') },
    synced: { acknowledged: SYNCED, kept: await kept('synced') },
  };
}
